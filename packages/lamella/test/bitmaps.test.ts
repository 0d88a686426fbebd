import { outcome, paths, run } from '@lamella/test-support';
import { type Disk, Lamella } from 'lamella';
import t from 'tap';
import { pattern } from './support/files.js';
import { skipWithoutQemu } from './support/qemu.js';

const M = 1024 * 1024;
const SIZE = 8 * M;
const lamella = new Lamella();
const at = paths(t);

/** Copies ranges of one disk into another. */
async function copy(from: Disk, to: Disk, bitmap: string): Promise<number> {
  let copied = 0;
  for await (const { offset, length } of from.bitmaps.ranges(bitmap)) {
    const bytes = new Uint8Array(length);
    await from.read(bytes, offset);
    await to.write(bytes, offset);
    copied += length;
  }
  return copied;
}

t.test('an incremental backup', skipWithoutQemu, async (t) => {
  const live = at('live.qcow2');
  const backup = at('backup.qcow2');
  await lamella.create(live, { format: 'qcow2', size: SIZE });
  await lamella.create(backup, { format: 'qcow2', size: SIZE });
  {
    await using disk = await lamella.open(live, { writable: true });
    await disk.write(pattern(1, 3 * M), M);
    await disk.bitmaps.add({ name: 'since full' });
    await using full = await lamella.open(backup, { writable: true });
    const all = new Uint8Array(SIZE);
    await disk.read(all, 0);
    await full.write(all, 0);
  }
  {
    await using disk = await lamella.open(live, { writable: true });
    await Promise.all([
      disk.write(pattern(2, 100_000), 50_000),
      disk.discard(2 * M, M),
      disk.writeZeroes(M, 65536),
      disk.writeCompressed(new Uint8Array(131072).fill(3), 6 * M),
    ]);
  }
  await using disk = await lamella.open(live, { writable: true });
  await using target = await lamella.open(backup, { writable: true });
  const copied = await copy(disk, target, 'since full');
  t.ok(copied < 2 * M, `${copied} bytes instead of ${SIZE}`);
  await disk.bitmaps.clear('since full');
  t.equal(await copy(disk, target, 'since full'), 0);
  await Promise.all([disk.close(), target.close()]);
  t.equal(outcome('qemu-img', ['compare', live, backup]).status, 0, 'the backup is complete');
});

t.test('a commit is recorded by the base', skipWithoutQemu, async (t) => {
  const base = at('base.qcow2');
  const top = at('top.qcow2');
  await lamella.create(base, { format: 'qcow2', size: SIZE });
  await lamella.create(top, {
    format: 'qcow2',
    backing: { location: 'base.qcow2', format: 'qcow2' },
  });
  run('qemu-img', 'bitmap', '--add', base, 'base');
  run('qemu-img', 'bitmap', '--add', top, 'top');
  {
    await using disk = await lamella.open(top, { writable: true });
    await disk.write(pattern(1, 10), 4 * M);
    await disk.writeZeroes(0, 65536);
    await disk.bitmaps.clear('top');
  }
  await lamella.commit(top);
  const recorded = async (path: string, name: string) => {
    await using disk = await lamella.open(path);
    const ranges: unknown[] = [];
    for await (const { offset, length } of disk.bitmaps.ranges(name)) {
      ranges.push([offset, length]);
    }
    return ranges;
  };
  t.same(await recorded(base, 'base'), [
    [0, 65536],
    [4 * M, 65536],
  ]);
  t.same(await recorded(top, 'top'), [], 'the overlay shows what it showed before');
  for (const path of [base, top]) {
    t.equal(outcome('qemu-img', ['check', path]).status, 0);
  }
});

t.test('formats without bitmaps', async (t) => {
  for (const format of ['raw', 'qed']) {
    const path = at(`plain.${format}`);
    await lamella.create(path, { format, size: M });
    await using disk = await lamella.open(path, { format, writable: true });
    t.same(disk.bitmaps.list(), []);
    await t.rejects(disk.bitmaps.add({ name: 'a' }), {
      code: 'UNSUPPORTED',
      problem: `images of the format '${format}' can't store bitmaps`,
    });
  }
});
