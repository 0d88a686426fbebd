/**
 * Backs up a disk, later only what was written since, and restores it: with dirty bitmaps that the image keeps.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Disk, Lamella } from 'lamella';

const MiB = 1024 * 1024;
const folder = await mkdtemp(join(tmpdir(), 'lamella-'));
const live = join(folder, 'live.qcow2');
const monday = join(folder, 'monday.qcow2');
const tuesday = join(folder, 'tuesday.qcow2');
const restored = join(folder, 'restored.qcow2');
const lamella = new Lamella();

async function write(disk: Disk, text: string, offset: number, length: number): Promise<void> {
  await disk.write(Buffer.alloc(length, text), offset);
}

// #region full
/** Copies everything. From now on the bitmap records what is written. */
async function fullBackup(disk: Disk, backup: string, bitmap: string): Promise<void> {
  await disk.bitmaps.add({ name: bitmap });
  await lamella.create(backup, { format: 'qcow2', size: disk.size });
  await using copy = await lamella.open(backup, { writable: true });
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind === 'data' || kind === 'compressed') {
      await copyRange(disk, copy, offset, length);
    }
  }
}
// #endregion full

// #region incremental
/**
 * Copies what was written since the last backup into an overlay over it. The next bitmap begins before the
 * copy, and the last one goes when the copy is durable: a crash in between costs time, never data.
 */
async function incrementalBackup(
  disk: Disk,
  backup: string,
  options: { readonly base: string; readonly since: string; readonly next: string },
): Promise<number> {
  const { base, since, next } = options;
  await disk.bitmaps.add({ name: next });
  await disk.bitmaps.disable(since);

  await lamella.create(backup, { format: 'qcow2', size: disk.size, backing: base });
  let copied = 0;
  {
    await using copy = await lamella.open(backup, { writable: true });
    for await (const { offset, length } of disk.bitmaps.ranges(since)) {
      await copyRange(disk, copy, offset, length);
      copied += length;
    }
    await copy.flush();
  }
  await disk.bitmaps.remove(since);
  return copied;
}

/** In pieces, so that memory stays small however much was written in one place. */
async function copyRange(from: Disk, to: Disk, offset: number, length: number): Promise<void> {
  for (let done = 0; done < length; done += MiB) {
    const bytes = new Uint8Array(Math.min(MiB, length - done));
    await from.read(bytes, offset + done);
    await to.write(bytes, offset + done);
  }
}
// #endregion incremental

try {
  await lamella.create(live, { format: 'qcow2', size: 64 * MiB });
  {
    await using disk = await lamella.open(live, { writable: true });
    await write(disk, 'installed. ', 0, 24 * MiB);
    await fullBackup(disk, monday, 'since monday');
  }
  {
    await using disk = await lamella.open(live, { writable: true });
    await write(disk, 'a new letter. ', 30 * MiB, 100_000);
    await write(disk, 'an update. ', 5 * MiB, 300_000);
    await disk.writeZeroes(12 * MiB, MiB);
  }
  {
    await using disk = await lamella.open(live, { writable: true });
    const copied = await incrementalBackup(disk, tuesday, {
      base: monday,
      since: 'since monday',
      next: 'since tuesday',
    });
    console.log(`Copied ${(copied / MiB).toFixed(2)} MiB of a disk of ${disk.size / MiB} MiB.`);
    console.log(`It records: ${disk.bitmaps.list().map(({ name }) => name)}.`);
  }

  // #region restore
  // The overlay over the full backup is the disk of Tuesday; a copy of the chain restores it.
  await lamella.convert(tuesday, restored, { format: 'qcow2' });
  const { difference } = await lamella.compare(live, restored);
  // #endregion restore
  console.log(
    difference === 'none' ? 'The restored disk is the live one.' : 'The restored disk differs!',
  );
} finally {
  await rm(folder, { recursive: true });
}
