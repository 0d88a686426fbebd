import { MemoryStorage } from '@lamella/core';
import t from 'tap';
import { content, driver, filled, newImage, openDisk } from './support/disks.js';
import { CLUSTER, check, editable, stored, writtenImage } from './support/mended.js';

const CLEAN = { corruptions: 0, leaks: 0, checkErrors: 0 };

t.test('a writable open repairs an image that was not closed cleanly', async (t) => {
  const image = await writtenImage();
  image.set64(72, 1);
  image.refcount(image.host(3), 0);
  image.refcount(image.host(5), 2);
  const storage = stored(image);
  const disk = await openDisk([storage], { writable: true });
  t.equal((await editable(storage)).u64(72), 0n, 'the dirty bit is cleared');
  await disk.write(filled(10, 1), 900_000);
  await disk.close();
  t.match(await check(storage), CLEAN);
  t.same((await content(await openDisk([storage]))).subarray(0, 16 * CLUSTER), filled(65536, 7));
});

t.test('a read-only open leaves an unclean image alone', async (t) => {
  const image = await writtenImage();
  image.set64(72, 1);
  image.refcount(image.host(3), 0);
  const storage = stored(image);
  const disk = await openDisk([storage]);
  t.same((await content(disk)).subarray(0, 16 * CLUSTER), filled(65536, 7));
  await disk.close();
  t.ok((await editable(storage)).bytes.equals(image.bytes));
});

t.test('an unclean image that cannot be repaired is not opened for writing', async (t) => {
  const image = await writtenImage();
  image.set64(72, 1);
  image.set64(image.l2Entry(3), (1n << 63n) | 0x4000_0000n);
  await t.rejects(openDisk([stored(image)], { writable: true }), {
    code: 'CORRUPT',
    message: /not closed cleanly/,
  });
});

t.test('lazy refcounts: written without the dirty bit, right at any time', async (t) => {
  const storage = await newImage(1024 * 1024, { cluster_size: CLUSTER, lazy_refcounts: true });
  const disk = await openDisk([storage], { writable: true });
  await disk.write(filled(CLUSTER, 1), 0);
  await disk.flush();
  t.equal((await editable(storage)).u64(72), 0n);
  t.match(await check(storage), CLEAN);
  await disk.close();
});

t.test('a check does not write, a repair needs a writable storage', async (t) => {
  const image = await writtenImage();
  image.refcount(image.host(3), 5);
  const readOnly = MemoryStorage.from(image.bytes, { writable: false });
  t.match(await check(readOnly), { leaks: 1, corruptions: 1 });
  await t.rejects(check(readOnly, 'leaks'), { code: 'READ_ONLY' });
});

t.test('an open image is checked with what it has not written yet', async (t) => {
  const storage = stored(await writtenImage());
  const image = await driver.open(storage, { writable: true });
  const placement = await image.place?.(900_000, 100);
  if (placement?.kind !== 'allocation') {
    t.fail('no allocation');
    return;
  }
  await storage.write(filled(CLUSTER, 1), placement.offset - placement.copyBefore);
  await placement.commit();
  t.match(await image.check?.({}), { ...CLEAN, allocatedClusters: 17, totalClusters: 256 });
  await t.rejects(async () => image.check?.({ repair: 'all' }), { code: 'UNSUPPORTED' });
  await image.close();
  const reader = await driver.open(storage, { writable: false });
  t.match(await reader.check?.({}), CLEAN);
});

t.test('an image opened for a check has no content', async (t) => {
  const image = await driver.open(stored(await writtenImage()), {
    writable: false,
    forCheck: true,
  });
  t.throws(() => image.map(0, 1), { code: 'UNSUPPORTED' });
});

t.test('findings say what and where, and whether it was mended', async (t) => {
  const image = await writtenImage();
  image.refcount(image.host(3), 5);
  const { findings } = await check(stored(image), 'all');
  t.match(findings, [
    { kind: 'leak', offset: image.host(3), fixed: true, message: /refcount 5 and 1 references/ },
  ]);
});

t.test('a check can be ended, and tells how far it is', async (t) => {
  const storage = stored(await writtenImage());
  const image = await driver.open(storage, { writable: false, forCheck: true });
  await t.rejects(async () => image.check?.({ signal: AbortSignal.abort() }), { code: 'ABORTED' });
  const seen: number[] = [];
  await image.check?.({ onProgress: ({ done, total }) => seen.push(done / total) });
  t.ok(seen.length > 0 && seen.every((part) => part > 0 && part <= 1));
});

t.test('absurd files are refused, sparse ones take no memory', async (t) => {
  const absurd = await newImage(1024 * 1024, { cluster_size: 512 });
  absurd.truncate(2 ** 42);
  await t.rejects(check(absurd), { code: 'LIMIT_EXCEEDED' });
  const sparse = await newImage(1024 * 1024, { cluster_size: CLUSTER });
  sparse.truncate(2 ** 42);
  const before = process.memoryUsage().arrayBuffers;
  t.match(await check(sparse), CLEAN);
  t.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024, 'bounded memory');
});

t.test('thousands of findings are counted and not all kept', async (t) => {
  const image = await writtenImage();
  for (let at = 0; at < CLUSTER; at += 2) {
    image.set16(image.block() + at, 9);
  }
  image.resize(2000 * CLUSTER);
  const result = await check(stored(image));
  t.ok(result.leaks > 1900);
  t.equal(result.findings.length, 1000);
});
