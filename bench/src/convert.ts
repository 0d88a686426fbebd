/** `lamella-img convert` beside `qemu-img convert`: whole processes, from a file to a new file, page cache warm. */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { printColumns, runSideBySide } from './side-by-side.js';

const MIB = 1024 * 1024;
const SIZE = 1024 * MIB;

/** What is converted; each makes what a later one reads. */
const CASES: readonly {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly args: readonly string[];
}[] = [
  { name: 'raw to qcow2', from: 'raw', to: 'plain', args: ['-f', 'raw', '-O', 'qcow2'] },
  { name: 'qcow2 to raw', from: 'plain', to: 'out', args: ['-f', 'qcow2', '-O', 'raw'] },
  { name: '-c, zlib', from: 'raw', to: 'zlib', args: ['-c', '-f', 'raw', '-O', 'qcow2'] },
  { name: 'reading zlib', from: 'zlib', to: 'out', args: ['-f', 'qcow2', '-O', 'raw'] },
  {
    name: '-c, zstd',
    from: 'raw',
    to: 'zstd',
    args: ['-c', '-f', 'raw', '-O', 'qcow2', '-o', 'compression_type=zstd'],
  },
  { name: 'reading zstd', from: 'zstd', to: 'out', args: ['-f', 'qcow2', '-O', 'raw'] },
];

/**
 * Prints medians in seconds and their ratios.
 *
 * @param folder - for files of some 4 GiB altogether
 */
export async function compareConvert(folder: string, rounds: number): Promise<void> {
  const file = (name: string): string => join(folder, `convert-${name}`);
  const [load = 0] = loadavg();
  console.log(`\nload of the machine: ${load.toFixed(1)} on ${cpus().length} cores`);
  console.log('convert, 1 GiB of mixed content, file to file; seconds');
  printColumns();
  await writeMixedContent(file('raw'));
  const made = new Set([file('raw')]);
  try {
    for (const { name, from, to, args } of CASES) {
      const words = ['convert', ...args, file(from), file(to)];
      made.add(file(to));
      // What was just written is on its way to the device, at the cost of whoever runs then.
      execFileSync('sync');
      await runSideBySide(name, words, rounds, () => rm(file(to), { force: true }));
    }
  } finally {
    await Promise.all([...made].map((path) => rm(path, { force: true })));
  }
}

/** Of every 4 MiB: one that does not compress, two that do, and one of zeroes. */
async function writeMixedContent(path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.truncate(SIZE);
    const bytes = Buffer.alloc(MIB);
    for (let at = 0; at < SIZE; at += MIB) {
      const kind = (at / MIB) % 4;
      randomFillSync(bytes, 0, kind === 0 ? MIB : MIB / 4);
      if (kind > 0) {
        // Text-like: few values, no long repeats.
        for (let index = MIB / 4 - 1; index >= 0; index -= 1) {
          bytes.fill(`w${((bytes[index] ?? 0) % 64) + 100}`, index * 4, index * 4 + 4);
        }
      }
      if (kind < 3) {
        await file.write(bytes, 0, MIB, at);
      }
    }
  } finally {
    await file.close();
  }
}
