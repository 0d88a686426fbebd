/**
 * The main job: a QED overlay over a qcow2 overlay over a raw base, composed, written, read back and
 * explained.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Disk, Lamella } from 'lamella';
import { drawChain } from './draw-chain.js';

const MiB = 1024 * 1024;
const folder = await mkdtemp(join(tmpdir(), 'lamella-'));
const base = join(folder, 'base.img');
const patched = join(folder, 'patched.qcow2');
const scratch = join(folder, 'scratch.qed');

const lamella = new Lamella();

async function write(disk: Disk, text: string, offset: number, length: number): Promise<void> {
  await disk.write(Buffer.alloc(length, text), offset);
}

async function show(disk: Disk, offset: number): Promise<string> {
  const buffer = Buffer.alloc(24);
  await disk.read(buffer, offset);
  return buffer.toString('latin1').replaceAll('\0', '·');
}

try {
  await lamella.create(base, { format: 'raw', size: 16 * MiB });
  await lamella.create(patched, {
    format: 'qcow2',
    backing: { location: 'base.img', format: 'raw' },
    options: { cluster_size: '64k' },
  });
  {
    await using disk = await lamella.open(base, { format: 'raw', writable: true });
    await write(disk, 'raw base. ', 0, 8 * MiB);
  }
  {
    await using disk = await lamella.open(patched, { writable: true });
    await write(disk, 'qcow2 patch. ', 2 * MiB, 4 * MiB);
    await disk.writeZeroes(7 * MiB, MiB);
  }

  // The QED layer is made on the spot; it names no backing file, the composition does.
  await using chain = await lamella.compose([
    { location: scratch, format: 'qed', create: true },
    { location: patched },
  ]);
  await write(chain, 'QED scratch. ', 3 * MiB - 5, 100);
  await write(chain, 'QED scratch. ', 10 * MiB, 2 * MiB);
  await chain.flush();

  console.log('A chain of three formats, written and read through its top:\n');
  console.log(await drawChain(chain));
  console.log('What the guest reads:');
  for (const offset of [0, 2 * MiB, 3 * MiB - 16, 5 * MiB, 7 * MiB, 10 * MiB, 15 * MiB]) {
    console.log(`  ${(offset / MiB).toFixed(2).padStart(6)} MiB  ${await show(chain, offset)}`);
  }

  // A throw-away layer in memory: written like any other, gone when closed.
  {
    await using trial = await lamella.overlay(chain);
    await write(trial, 'never happened. ', 0, MiB);
    console.log('\nWith a throw-away overlay in memory on top:');
    console.log(`    0.00 MiB  ${await show(trial, 0)}`);
  }
  console.log('and after it is closed:');
  console.log(`    0.00 MiB  ${await show(chain, 0)}`);
} finally {
  await rm(folder, { recursive: true });
}
