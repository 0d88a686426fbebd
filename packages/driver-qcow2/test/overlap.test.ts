import { isLamellaError, type LamellaError } from '@lamella/core';
import t, { type Test } from 'tap';
import { content, filled, newImage, openDisk } from './support/disks.js';
import { COPIED, type Editable } from './support/editable.js';
import { CLUSTER, check, editable, stored, writtenImage } from './support/mended.js';

const FREE = 200 * CLUSTER;

async function failure(promise: Promise<unknown>): Promise<LamellaError | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return isLamellaError(error) ? error : undefined;
  }
}

/** A write to `offset` is stopped: nothing but the corrupt bit changes, and stays so until a repair. */
async function assertStopped(
  t: Test,
  image: Editable,
  offset: number,
  reason: RegExp,
): Promise<void> {
  const storage = stored(image);
  const disk = await openDisk([storage], { writable: true });
  const error = await failure(disk.write(filled(100, 9), offset));
  t.equal(error?.code, 'CORRUPT');
  t.match(error?.message, reason);
  t.match(error?.hint, /[Rr]epair|Check/);
  const after = await editable(storage);
  t.equal(after.u64(72), 2n, 'the corrupt bit is set before the error comes');
  after.set64(72, 0);
  t.ok(after.bytes.equals(image.bytes), 'nothing else was written');
  for (const request of [
    () => disk.write(filled(1, 1), FREE),
    () => disk.write(filled(1, 1), 0),
    () => disk.writeZeroes(0, CLUSTER),
  ]) {
    t.equal((await failure(request()))?.code, 'CORRUPT', 'later writes are refused');
  }
  await disk.close().catch(() => undefined);
  t.equal((await failure(openDisk([storage], { writable: true })))?.code, 'CORRUPT');
  const readOnly = await openDisk([storage]);
  t.equal(readOnly.size, 1024 * 1024, 'it opens for reading');
  await readOnly.close();
}

const FREED: readonly (readonly [string, (image: Editable) => number, RegExp])[] = [
  ['header', () => 0, /header/],
  ['refcount table', (image) => image.refcountTable, /refcount table/],
  ['refcount block', (image) => image.block(), /refcount block/],
  ['active L1 table', (image) => image.l1, /active L1 table/],
  ['L2 table', (image) => image.l2(), /L2 table/],
];

t.test('an allocation over the bitmap directory is stopped', async (t) => {
  const storage = stored(await writtenImage());
  const disk = await openDisk([storage], { writable: true });
  await disk.bitmaps.add({ name: 'a', recording: false });
  await disk.close();
  const image = await editable(storage);
  const extension = image.extension(0x23852875);
  const directory = Number(image.u64(extension + 16));
  image.refcount(directory, 0);
  await assertStopped(t, image, FREE, /bitmap directory/);
});

t.test('a bitmap of an image that turns out to be corrupt stays in use', async (t) => {
  const storage = stored(await writtenImage());
  const sound = await openDisk([storage], { writable: true });
  await sound.bitmaps.add({ name: 'a' });
  await sound.close();
  const image = await editable(storage);
  image.refcount(image.l2(), 0);
  const damaged = stored(image);
  const disk = await openDisk([damaged], { writable: true });
  t.equal((await failure(disk.write(filled(100, 9), FREE)))?.code, 'CORRUPT');
  t.equal((await failure(disk.bitmaps.clear('a')))?.code, 'CORRUPT');
  await disk.close().catch(() => undefined);
  t.match((await openDisk([damaged])).bitmaps.list(), [{ name: 'a', inconsistent: true }]);
});

for (const [name, where, reason] of FREED) {
  t.test(`an allocation over the ${name} is stopped`, async (t) => {
    const image = await writtenImage();
    image.refcount(where(image), 0);
    await assertStopped(t, image, FREE, reason);
  });
}

for (const [name, where] of FREED.slice(1)) {
  t.test(`a write in place into the ${name} is stopped`, async (t) => {
    const image = await writtenImage();
    image.set64(image.l2Entry(3), COPIED | BigInt(where(image)));
    await assertStopped(t, image, 3 * CLUSTER, /a write would go over the/);
  });
}

t.test('metadata that lies over metadata stops the first write', async (t) => {
  for (const where of [
    (image: Editable) => image.l1,
    (image: Editable) => image.block(),
    (image: Editable) => image.refcountTable,
  ]) {
    const image = await writtenImage();
    image.set64(image.l1, COPIED | BigInt(where(image)));
    await assertStopped(t, image, 0, /lies over other metadata/);
  }
});

t.test('an allocation over the snapshot table or a snapshot is stopped', async (t) => {
  for (const [which, reason] of [
    ['table', /snapshot table/],
    ['l1', /L1 table of snapshot 1/],
  ] as const) {
    const image = await writtenImage();
    const table = image.end;
    image.resize(table + 2 * CLUSTER);
    image.set32(60, 1);
    image.set64(64, table);
    image.set64(table, table + CLUSTER);
    image.set32(table + 8, 1);
    image.set32(table + 36, 16);
    image.refcount(table, which === 'table' ? 0 : 1);
    image.refcount(table + CLUSTER, which === 'l1' ? 0 : 1);
    await assertStopped(t, image, FREE, reason);
  }
});

t.test('a broken L2 entry in the way of a write marks the image', async (t) => {
  const image = await writtenImage();
  image.set64(image.l2Entry(3), image.u64(image.l2Entry(3)) + 0x200n);
  await assertStopped(t, image, 3 * CLUSTER, /invalid/);
});

t.test('a repair lets writes in again', async (t) => {
  const image = await writtenImage();
  image.refcount(image.l1, 0);
  const storage = stored(image);
  const disk = await openDisk([storage], { writable: true });
  await t.rejects(disk.write(filled(100, 9), FREE), { code: 'CORRUPT' });
  await disk.close().catch(() => undefined);
  t.match(await check(storage, 'all'), { corruptions: 0, leaks: 0, checkErrors: 0 });
  t.equal((await editable(storage)).u64(72), 0n, 'the corrupt bit is cleared');
  const again = await openDisk([storage], { writable: true });
  await again.write(filled(100, 9), FREE);
  await again.close();
  const seen = await content(await openDisk([storage]));
  t.same(seen.subarray(0, 16 * CLUSTER), filled(16 * CLUSTER, 7), 'old data are there');
  t.same(seen.subarray(FREE, FREE + 100), filled(100, 9), 'new data, too');
  t.match(await check(storage), { corruptions: 0, leaks: 0 });
});

t.test('version 2 has no corrupt bit: the write is stopped all the same', async (t) => {
  const image = await writtenImage('0.10');
  image.refcount(image.l1, 0);
  const storage = stored(image);
  const disk = await openDisk([storage], { writable: true });
  await t.rejects(disk.write(filled(100, 9), FREE), { code: 'CORRUPT' });
  await t.rejects(disk.write(filled(100, 9), FREE), { code: 'CORRUPT' });
  t.ok((await editable(storage)).bytes.equals(image.bytes), 'nothing was written');
});

t.test('space that was metadata once may be written', async (t) => {
  const storage = await newImage(8 * 1024 * 1024, { cluster_size: 512, refcount_bits: 64 });
  const before = (await editable(storage)).refcountTable;
  const disk = await openDisk([storage], { writable: true });
  // A refcount table of one cluster describes 2 MiB: it moves, and its old place is given out again.
  await disk.write(filled(4 * 1024 * 1024, 1), 0);
  await disk.flush();
  for (let at = 0; at < 64; at += 1) {
    await disk.write(filled(512, 2), 6 * 1024 * 1024 + at * 512);
  }
  await disk.close();
  const after = await editable(storage);
  t.not(after.refcountTable, before, 'the table moved');
  t.ok(
    after.bytes.subarray(before, before + 512).every((byte) => byte === 2),
    'data are there now',
  );
  t.match(await check(storage), { corruptions: 0, leaks: 0, checkErrors: 0 });
});
