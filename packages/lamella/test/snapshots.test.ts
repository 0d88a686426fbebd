import { join } from 'node:path';
import { Lamella } from 'lamella';
import t from 'tap';
import { readAll } from './support/golden.js';
import { failure, openFilesIn, photograph, sandbox } from './support/sandbox.js';

const lamella = new Lamella();
const SIZE = 1024 * 1024;

/** A base of nines, and an image over it that has two snapshots. */
async function chain(directory: string): Promise<string> {
  const base = join(directory, 'base.raw');
  await lamella.create(base, { format: 'raw', size: SIZE });
  await using lower = await lamella.open(base, { format: 'raw', writable: true });
  await lower.write(new Uint8Array(SIZE).fill(9), 0);
  await lower.close();
  const top = join(directory, 'top.qcow2');
  const backing = { location: 'base.raw', format: 'raw' };
  await lamella.create(top, { format: 'qcow2', size: SIZE, backing });
  await using disk = await lamella.open(top, { writable: true });
  await disk.snapshots.create({ name: 'empty' });
  await disk.write(new Uint8Array(SIZE / 2).fill(1), 0);
  await disk.snapshots.create({ name: 'half' });
  await disk.write(new Uint8Array(SIZE).fill(2), 0);
  return top;
}

t.test('a disk opens as of a snapshot, backing chain beneath', async (t) => {
  const directory = sandbox(t);
  const top = await chain(directory);
  const before = photograph(directory);
  const disk = await lamella.open(top, { snapshot: 'half' });
  t.equal(disk.isWritable, false);
  t.same(
    disk.layers.map(({ format, writable }) => ({ format, writable })),
    [
      { format: 'qcow2', writable: false },
      { format: 'raw', writable: false },
    ],
  );
  const bytes = await readAll(disk);
  t.ok(bytes.subarray(0, SIZE / 2).every((byte) => byte === 1));
  t.ok(bytes.subarray(SIZE / 2).every((byte) => byte === 9));
  await disk.close();
  await using empty = await lamella.open(top, { snapshot: { id: '1', name: 'empty' } });
  t.ok((await readAll(empty)).every((byte) => byte === 9));
  await empty.close();
  t.same(photograph(directory), before, 'reading writes nothing');
  t.same(openFilesIn(directory), []);
});

t.test('an overlay in memory goes on from a snapshot', async (t) => {
  const top = await chain(sandbox(t));
  await using then = await lamella.open(top, { snapshot: 'half' });
  await using overlay = await lamella.overlay(then);
  await overlay.write(new Uint8Array(10).fill(7), 0);
  const bytes = await readAll(overlay);
  t.same([...new Set(bytes)], [7, 1, 9]);
});

t.test('what cannot be opened as of a snapshot', async (t) => {
  const directory = sandbox(t);
  const top = await chain(directory);
  const raw = join(directory, 'base.raw');
  const fails = async (...args: Parameters<typeof lamella.open>) =>
    (await failure(() => lamella.open(...args))).code;
  t.equal(await fails(top, { snapshot: 'none' }), 'NOT_FOUND');
  t.equal(await fails(top, { snapshot: { id: '1', name: 'half' } }), 'NOT_FOUND');
  t.equal(await fails(top, { snapshot: 'half', writable: true }), 'INVALID_ARGUMENT');
  t.equal(await fails(raw, { snapshot: 'half', format: 'raw' }), 'UNSUPPORTED');
  t.same(openFilesIn(directory), []);
});

t.test('formats without snapshots say so', async (t) => {
  const path = join(sandbox(t), 'a.qed');
  await lamella.create(path, { format: 'qed', size: SIZE });
  await using disk = await lamella.open(path, { writable: true });
  t.throws(() => disk.snapshots.list(), { code: 'UNSUPPORTED' });
  const changes = [
    () => disk.snapshots.create({ name: 'x' }),
    () => disk.snapshots.apply('x'),
    () => disk.snapshots.delete('x'),
    () => disk.snapshots.open('x'),
  ];
  for (const change of changes) {
    t.equal((await failure(change)).code, 'UNSUPPORTED');
  }
});

t.test('snapshots survive the process', async (t) => {
  const top = await chain(sandbox(t));
  await using disk = await lamella.open(top, { writable: true });
  t.same(
    disk.snapshots.list().map(({ id, name }) => `${id} ${name}`),
    ['1 empty', '2 half'],
  );
  await disk.snapshots.apply('half');
  await disk.snapshots.delete('half');
  await disk.close();
  await using again = await lamella.open(top);
  t.same([...new Set(await readAll(again))], [1, 9]);
  t.match(await lamella.check(top), { corruptions: 0, leaks: 0 });
});
