import { Disk, LamellaError, MemoryStorage } from '@lamella/core';
import { FaultyStorage, TracingStorage, WrappedStorage } from '@lamella/driver-testkit';
import t from 'tap';
import { rangesFrom, storedBitmaps } from './support/bitmaps.js';
import { content, driver, filled, newImage, openDisk, openLayer } from './support/disks.js';
import type { Editable } from './support/editable.js';
import { editable, stored } from './support/mended.js';
import { verify } from './support/verify.js';

const M = 1024 * 1024;
const T = 2 ** 40;
const BITMAPS = 0x23852875;

/** An image with a bitmap that has recorded a write of 64 KiB, and one that is disabled. */
async function imageWithBitmaps(): Promise<MemoryStorage> {
  const storage = await newImage(4 * M);
  const disk = await openDisk([storage], { writable: true });
  await disk.bitmaps.add({ name: 'first' });
  await disk.bitmaps.add({ name: 'second', granularity: 4096, recording: false });
  await disk.write(filled(1000, 1), 70_000);
  await disk.close();
  return storage;
}

/** A storage that is full from a length on. */
class FullStorage extends WrappedStorage {
  limit = Number.POSITIVE_INFINITY;

  override write(bytes: Uint8Array, offset: number) {
    if (offset + bytes.length > this.limit) {
      throw new LamellaError('NO_SPACE', 'no space left', { location: this.location });
    }
    return super.write(bytes, offset);
  }

  override async close(): Promise<void> {}
}

t.test('what a bitmap may be like', async (t) => {
  const disk = await openDisk([await newImage(4 * M)], { writable: true });
  const { bitmaps } = disk;
  for (const granularity of [0, 256, 1000, 65537, 2 ** 32, -512, Number.NaN, 512.5]) {
    await t.rejects(bitmaps.add({ name: 'a', granularity }), { code: 'INVALID_ARGUMENT' });
  }
  for (const name of ['', 'x'.repeat(1024), 'ü'.repeat(512)]) {
    await t.rejects(bitmaps.add({ name }), { code: 'INVALID_ARGUMENT' });
  }
  await bitmaps.add({ name: `${'ü'.repeat(511)}x`, granularity: 512 });
  await bitmaps.add({ name: 'a', granularity: 2 ** 31 });
  await t.rejects(bitmaps.add({ name: 'a' }), { code: 'ALREADY_EXISTS', problem: /'a'/ });
  for (const change of [
    bitmaps.remove('none'),
    bitmaps.clear('none'),
    bitmaps.enable('none'),
    bitmaps.disable('none'),
    bitmaps.merge('none', ['a']),
    bitmaps.merge('a', ['none']),
  ]) {
    await t.rejects(change, { code: 'NOT_FOUND', problem: /'none'/ });
  }
  await t.rejects(rangesFrom(disk, 'none'), { code: 'NOT_FOUND' });
  t.equal(bitmaps.list().length, 2);
  await disk.close();
  await t.rejects(bitmaps.add({ name: 'b' }), { code: 'CLOSED' });
});

t.test('images that take no bitmaps', async (t) => {
  const old = await openDisk([await newImage(M, { compat: '0.10' })], { writable: true });
  await t.rejects(old.bitmaps.add({ name: 'a' }), { code: 'UNSUPPORTED', problem: /version 2/ });
  t.same(old.bitmaps.list(), []);
  const empty = await openDisk([await newImage(0)], { writable: true });
  await t.rejects(empty.bitmaps.add({ name: 'a' }), { code: 'UNSUPPORTED' });
  const { bitmaps } = await openDisk([await imageWithBitmaps()]);
  for (const change of [
    bitmaps.add({ name: 'a' }),
    bitmaps.remove('first'),
    bitmaps.clear('first'),
    bitmaps.enable('first'),
    bitmaps.disable('first'),
    bitmaps.merge('first', ['second']),
  ]) {
    await t.rejects(change, { code: 'READ_ONLY' });
  }
  const layer = await openLayer(await newImage(M), true);
  Object.defineProperty(layer.image, 'bitmaps', { value: undefined });
  const without = new Disk([layer]);
  t.same(without.bitmaps.list(), []);
  await t.rejects(without.bitmaps.add({ name: 'a' }), { code: 'UNSUPPORTED', problem: /qcow2/ });
  await t.rejects(rangesFrom(without, 'a'), { code: 'UNSUPPORTED' });
});

t.test('bitmaps of large disks', async (t) => {
  const disk = await openDisk([await newImage(64 * T, { cluster_size: '2M' })], { writable: true });
  await t.rejects(disk.bitmaps.add({ name: 'a', granularity: 4096 }), { code: 'LIMIT_EXCEEDED' });
  const before = process.memoryUsage().arrayBuffers;
  await disk.bitmaps.add({ name: 'a', granularity: 16384 });
  await disk.write(filled(20_000, 1), 64 * T - 20_000);
  await disk.write(filled(1, 1), 32 * T);
  t.same(await rangesFrom(disk, 'a'), [
    { offset: 32 * T, length: 16384 },
    { offset: 64 * T - 32768, length: 32768 },
  ]);
  await disk.close();
  t.ok(process.memoryUsage().arrayBuffers - before < 64 * M, 'memory follows what was written');
});

t.test('runs of set bits and long tables', async (t) => {
  const size = 9 * 2 ** 30;
  const storage = await newImage(size, { cluster_size: 512, refcount_bits: 64 });
  const disk = await openDisk([storage], { writable: true });
  await disk.bitmaps.add({ name: 'long', granularity: 512 });
  await disk.writeZeroes(0, size - 512);
  await disk.close();
  const [bitmap] = await storedBitmaps(storage);
  const { table = [] } = bitmap ?? {};
  t.equal(table.length, size / 512 / 4096, 'more clusters than one refcount block describes');
  t.ok(
    table.slice(0, -1).every((entry) => entry === 1),
    'ones take no space',
  );
  t.ok((table.at(-1) ?? 0) > 1);
  t.same(await rangesFrom(await openDisk([storage]), 'long'), [{ offset: 0, length: size - 512 }]);
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('the price of recording', async (t) => {
  const storage = new TracingStorage(await imageWithBitmaps());
  const disk = await openDisk([storage], { writable: true });
  await disk.read(new Uint8Array(512), 0);
  t.equal(storage.count('write') + storage.count('flush'), 0, 'opening and reading marks nothing');
  await Promise.all([1, 2, 3].map((unit) => disk.write(filled(512, 3), unit * 65536)));
  t.equal(storage.count('flush'), 1, 'writes share one mark');
  const writes = storage.count('write');
  await disk.write(filled(512, 3), 65536);
  t.equal(storage.count('write') - writes, 1, 'then nothing is added');
  await disk.bitmaps.disable('first');
  const flushes = storage.count('flush');
  await disk.write(filled(512, 3), 65536);
  t.equal(storage.count('flush'), flushes, 'who does not record is not marked');
  await disk.close();
  t.notOk((await openDisk([storage])).bitmaps.list().some(({ inconsistent }) => inconsistent));
});

t.test('a bitmap that is added or changed amid writes', async (t) => {
  const storage = await newImage(4 * M, { cluster_size: 4096 });
  const traced = new TracingStorage(storage, { delay: (_, id) => id % 4 });
  const disk = await openDisk([traced], { writable: true });
  const writes: Promise<void>[] = [];
  const write = (unit: number) => writes.push(disk.write(filled(4096, 1), unit * 4096));
  [0, 1, 2].forEach(write);
  writes.push(disk.bitmaps.add({ name: 'a' }));
  [100, 101].forEach(write);
  writes.push(disk.bitmaps.add({ name: 'b' }));
  [300, 301].forEach(write);
  writes.push(disk.bitmaps.clear('a'));
  [400].forEach(write);
  await Promise.all(writes);
  t.same(await rangesFrom(disk, 'a'), [{ offset: 400 * 4096, length: 4096 }]);
  t.same(await rangesFrom(disk, 'b'), [
    { offset: 300 * 4096, length: 8192 },
    { offset: 400 * 4096, length: 4096 },
  ]);
  const compressed = disk.writeCompressed(filled(100 * 4096, 2), 200 * 4096);
  await Promise.all([compressed, disk.bitmaps.add({ name: 'late' })]);
  const [late] = await rangesFrom(disk, 'late');
  t.equal((late?.offset ?? 0) + (late?.length ?? 0), 300 * 4096, 'what came after it is recorded');
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('bits are read while bitmaps change', async (t) => {
  const storage = await newImage(64 * M, { cluster_size: 512 });
  const disk = await openDisk([storage], { writable: true });
  await disk.bitmaps.add({ name: 'a', granularity: 512 });
  for (let at = 0; at < 64 * M; at += M) {
    await disk.write(filled(512, 1), at);
  }
  const seen: number[] = [];
  for await (const { offset } of disk.bitmaps.ranges('a')) {
    seen.push(offset);
    await disk.bitmaps.add({ name: `new ${offset}` });
    await disk.write(filled(512, 2), offset);
  }
  t.same(
    seen,
    Array.from({ length: 64 }, (_, index) => index * M),
  );
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('bitmaps survive a change of the whole image', async (t) => {
  const storage = await imageWithBitmaps();
  const layer = await openLayer(storage, true);
  const disk = new Disk([layer]);
  await disk.write(filled(10, 1), 0);
  await layer.image.setBacking?.({ location: 'other.img', format: 'raw' });
  await disk.write(filled(10, 1), M);
  const expected = [
    { offset: 0, length: 131072 },
    { offset: M, length: 65536 },
  ];
  t.same(await rangesFrom(disk, 'first'), expected);
  await disk.close();
  const again = await openDisk([storage]);
  t.same(await rangesFrom(again, 'first'), expected);
  t.same(again.layers[0]?.references.backing, { location: 'other.img', format: 'raw' });
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('a disk that is full when it is closed', async (t) => {
  const inner = await imageWithBitmaps();
  const storage = new FullStorage(inner);
  const disk = await openDisk([storage], { writable: true });
  await disk.write(filled(10, 9), 0);
  await disk.write(filled(10, 9), 2 * M);
  await disk.flush();
  storage.limit = inner.size;
  await t.rejects(disk.close(), { code: 'NO_SPACE', problem: /bitmaps 'first' recorded/ });
  const again = await openDisk([inner]);
  t.match(again.bitmaps.list(), [
    { name: 'first', inconsistent: true },
    { name: 'second', inconsistent: false },
  ]);
  const seen = new Uint8Array(10);
  await again.read(seen, 2 * M);
  t.same([...seen], [...filled(10, 9)], 'the data is there');
  t.same(await verify(inner), { corruptions: [], leaks: 0 });
});

t.test('changes of bitmaps that fail', async (t) => {
  const inner = await imageWithBitmaps();
  const storage = new FullStorage(inner);
  const disk = await openDisk([storage], { writable: true });
  storage.limit = 0;
  await t.rejects(disk.bitmaps.merge('second', ['first']), { code: 'NO_SPACE' });
  await t.rejects(disk.bitmaps.add({ name: 'third' }), { code: 'NO_SPACE' });
  t.same(await rangesFrom(disk, 'second'), [], 'the target is as it was');
  t.equal(disk.bitmaps.list().length, 2);
  await t.rejects(disk.write(filled(10, 1), M), { code: 'NO_SPACE' }, 'it can not be marked');
  storage.limit = Number.POSITIVE_INFINITY;
  await disk.bitmaps.merge('second', ['first']);
  await disk.write(filled(10, 1), M);
  await disk.close();
  t.match(
    (await storedBitmaps(inner)).map(({ inUse, ranges }) => [inUse, ranges.length]),
    [
      [false, 2],
      [false, 1],
    ],
  );
  t.same(await verify(inner), { corruptions: [], leaks: 0 });
});

t.test('a header that can not be written', async (t) => {
  const inner = await imageWithBitmaps();
  const storage = new FaultyStorage(inner);
  const disk = await openDisk([storage], { writable: true });
  storage.fails = ({ method, offset }) => method === 'write' && offset === 0;
  await t.rejects(disk.bitmaps.add({ name: 'third' }), { code: 'IO_ERROR' });
  storage.fails = () => false;
  await disk.bitmaps.add({ name: 'fourth' });
  t.same(
    disk.bitmaps.list().map(({ name }) => name),
    ['first', 'second', 'fourth'],
  );
  let written = false;
  storage.fails = ({ method, offset }) => {
    const fails = written && method === 'flush';
    written ||= method === 'write' && offset === 0;
    return fails;
  };
  await t.rejects(disk.bitmaps.add({ name: 'fifth' }), { code: 'IO_ERROR' });
  storage.fails = () => false;
  await t.rejects(disk.write(filled(10, 1), 0), { code: 'IO_ERROR', problem: /unknown state/ });
  await disk.close();
  t.equal((await verify(inner)).corruptions.length, 0);
});

const DAMAGE: readonly (readonly [string, string, (image: Editable, directory: number) => void])[] =
  [
    [
      'directory of 2^60 bytes',
      'LIMIT_EXCEEDED',
      (i) => i.set64(i.extension(BITMAPS) + 8, 2n ** 60n),
    ],
    ['directory of 64 MiB', 'CORRUPT', (i) => i.set64(i.extension(BITMAPS) + 8, 2n ** 26n)],
    ['directory far away', 'CORRUPT', (i) => i.set64(i.extension(BITMAPS) + 16, 2n ** 62n)],
    ['directory unaligned', 'CORRUPT', (i, d) => i.set64(i.extension(BITMAPS) + 16, d + 8)],
    ['no bitmaps', 'CORRUPT', (i) => i.set32(i.extension(BITMAPS), 0)],
    ['too few bitmaps', 'CORRUPT', (i) => i.set32(i.extension(BITMAPS), 3)],
    ['too many bitmaps', 'LIMIT_EXCEEDED', (i) => i.set32(i.extension(BITMAPS), 65536)],
    ['table of 2^27 entries', 'CORRUPT', (i, d) => i.set32(d + 8, 2 ** 27)],
    ['table of no entries', 'CORRUPT', (i, d) => i.set32(d + 8, 0)],
    ['table of two entries', 'CORRUPT', (i, d) => i.set32(d + 8, 2)],
    ['table far away', 'CORRUPT', (i, d) => i.set64(d, 2n ** 56n)],
    ['table of the other', 'CORRUPT', (i, d) => i.set64(d, i.u64(d + 32))],
    ['unknown flags', 'UNSUPPORTED', (i, d) => i.set32(d + 12, 16)],
    ['unknown type', 'UNSUPPORTED', (i, d) => i.set8(d + 16, 2)],
    ['granularity of 2^60', 'CORRUPT', (i, d) => i.set8(d + 17, 60)],
    ['name of no bytes', 'CORRUPT', (i, d) => i.set16(d + 18, 0)],
    ['name of 65535 bytes', 'CORRUPT', (i, d) => i.set16(d + 18, 65535)],
    ['extra data', 'UNSUPPORTED', (i, d) => i.set32(d + 20, 8)],
    ['extra data of 4 GiB', 'CORRUPT', (i, d) => i.set32(d + 20, 0xffff_ffff)],
  ];

t.test('damaged directories: data can be read, nothing is written', async (t) => {
  const sound = await editable(await imageWithBitmaps());
  for (const [name, code, damage] of DAMAGE) {
    const image = await editable(stored(sound));
    damage(image, Number(image.u64(image.extension(BITMAPS) + 16)));
    const before = process.memoryUsage().arrayBuffers;
    await t.rejects(driver.open(stored(image), { writable: true }), { code }, name);
    const disk = await openDisk([stored(image)]);
    t.throws(() => disk.bitmaps.list(), { code });
    await t.rejects(rangesFrom(disk, 'first'), { code });
    t.equal((await content(disk))[70_000], 1);
    t.ok(process.memoryUsage().arrayBuffers - before < 32 * M, 'no memory was taken for it');
  }
});

t.test('damaged tables', async (t) => {
  const sound = await editable(await imageWithBitmaps());
  for (const entry of [2n, 2n ** 57n, 2n ** 40n, 0x10001n]) {
    const image = await editable(stored(sound));
    const table = Number(image.u64(Number(image.u64(image.extension(BITMAPS) + 16))));
    image.set64(table, entry);
    const storage = stored(image);
    const disk = await openDisk([storage], { writable: true });
    await t.rejects(rangesFrom(disk, 'first'), { code: 'CORRUPT', offset: table });
    await t.rejects(disk.bitmaps.merge('second', ['first']), { code: 'CORRUPT' });
    await disk.write(filled(10, 5), 0);
    await t.rejects(disk.close(), { code: 'CORRUPT', problem: /'first'/ });
    const [first] = (await openDisk([storage])).bitmaps.list();
    t.match(first, { name: 'first', inconsistent: true });
  }
});

t.test('bitmaps that a program without bitmaps left behind', async (t) => {
  const image = await editable(await imageWithBitmaps());
  image.set64(88, 0);
  const storage = stored(image);
  const disk = await openDisk([storage], { writable: true });
  t.same(disk.bitmaps.list(), []);
  await disk.bitmaps.add({ name: 'first' });
  await disk.write(filled(10, 5), 0);
  await disk.close();
  t.match(await storedBitmaps(storage), [
    { name: 'first', ranges: [{ offset: 0, length: 65536 }], inUse: false },
  ]);
  t.same((await verify(storage)).corruptions, []);
});
