import { type Image, isPromise, LamellaError, type Placement, type Storage } from '@lamella/core';
import { FaultyStorage, TracingStorage } from '@lamella/driver-testkit';
import t from 'tap';
import { content, driver, filled, newImage, openDisk, randomSource } from './support/disks.js';
import { verify } from './support/verify.js';

const K = 1024;
const M = K * K;

async function place(image: Image, offset: number, length: number): Promise<Placement> {
  if (image.place === undefined) {
    throw new Error('read-only');
  }
  return image.place(offset, length);
}

async function openWritable(storage: Storage): Promise<Image> {
  return driver.open(storage, { writable: true });
}

t.test('where writes go', async (t) => {
  const storage = await newImage(M);
  const image = await openWritable(storage);
  const first = await place(image, 100, 200_000);
  t.match(first, {
    kind: 'allocation',
    length: 200_000,
    copyBefore: 100,
    copyAfter: 4 * 65536 - 200_100,
    fresh: true,
  });
  if (first.kind === 'allocation') {
    await storage.write(filled(200_000, 1), first.offset);
    await first.commit();
    t.same(await place(image, 5, 4 * 65536), {
      kind: 'in-place',
      length: 4 * 65536 - 5,
      storage,
      offset: first.offset - 95,
    });
  }
  t.equal(await image.zero?.(65536, 65536, { unmap: false, zeroBelow: true }), 65536);
  const refill = await place(image, 65536 + 10, 20);
  t.match(refill, { kind: 'allocation', length: 20, copyBefore: 10, fresh: false });
  if (refill.kind === 'allocation') {
    refill.abort();
  }
  t.match(await image.map(65536, 1), { kind: 'zero', allocated: true });
  await image.close();
  await image.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('subclusters are allocated one by one', async (t) => {
  const storage = await newImage(M, { extended_l2: true });
  const image = await openWritable(storage);
  const first = await place(image, 2100, 100);
  t.match(first, { kind: 'allocation', copyBefore: 52, copyAfter: 2048 - 152, fresh: true });
  if (first.kind === 'allocation') {
    await storage.write(filled(2048, 1), first.offset - 52);
    await first.commit();
    const second = await place(image, 8192, 4096);
    t.match(second, {
      kind: 'allocation',
      offset: first.offset - 2100 + 8192,
      copyBefore: 0,
      copyAfter: 0,
      fresh: false,
    });
    if (second.kind === 'allocation') {
      second.abort();
    }
    t.match(await place(image, 2048, 4096), { kind: 'in-place', length: 2048 });
  }
  await image.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('an aborted allocation leaves no leak', async (t) => {
  const storage = await newImage(M);
  const image = await openWritable(storage);
  for (let i = 0; i < 3; i += 1) {
    const placement = await place(image, 0, M);
    if (placement.kind === 'allocation') {
      placement.abort();
    }
  }
  await image.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('once metadata is cached, allocating takes no promise', async (t) => {
  const storage = new TracingStorage(await newImage(64 * M), { delay: () => 1 });
  const image = await openWritable(storage);
  const warm = await place(image, 0, 1);
  if (warm.kind === 'allocation') {
    await storage.write(filled(1, 1), warm.offset);
    await warm.commit();
  }
  await image.map(0, 1);
  const placement = image.place?.(65536, 65536);
  t.ok(placement !== undefined && !isPromise(placement));
  if (placement !== undefined && !isPromise(placement) && placement.kind === 'allocation') {
    t.notOk(isPromise(placement.commit()));
  }
});

t.test('commits under one missing L2 table make one table', async (t) => {
  const inner = await newImage(64 * M);
  const before = inner.size;
  const storage = new TracingStorage(inner, { delay: () => 1 });
  const disk = await openDisk([storage], { writable: true });
  await Promise.all(
    Array.from({ length: 64 }, (_, i) => disk.write(filled(65536, i + 1), i * 65536)),
  );
  await disk.close();
  t.equal(inner.size - before, 65 * 65536);
  t.same(await verify(inner), { corruptions: [], leaks: 0 });
});

t.test('flush with nothing changed is one flush of the storage', async (t) => {
  const storage = new TracingStorage(await newImage(M));
  const image = await openWritable(storage);
  const before = storage.trace.length;
  await image.flush?.();
  t.match(storage.trace.slice(before), [{ method: 'flush' }, { method: 'flush' }]);
  t.equal(storage.trace.length - before, 2);
});

t.test('flushes that wait share the next one', async (t) => {
  const storage = new TracingStorage(await newImage(M), { delay: () => 2 });
  const image = await openWritable(storage);
  const before = storage.count('flush');
  await Promise.all(Array.from({ length: 10 }, () => image.flush?.()));
  t.equal(storage.count('flush') - before, 2);
});

t.test('failures leave the image consistent and lose nothing that is repeated', async (t) => {
  for (const method of ['write', 'flush', 'writeZeroes', 'read'] as const) {
    for (let failAt = 1; failAt < 40; failAt += 3) {
      const inner = await newImage(2 * M, { cluster_size: 4096 });
      const storage = new FaultyStorage(inner);
      const disk = await openDisk([storage], { writable: true });
      let calls = 0;
      storage.fails = (call) => {
        calls += call.method === method ? 1 : 0;
        return call.method === method && calls === failAt;
      };
      const random = randomSource(failAt);
      const model = new Uint8Array(disk.size);
      for (let i = 0; i < 25; i += 1) {
        const offset = Math.floor(random() * 500) * 4096;
        const act = async () => {
          if (i % 5 === 3) {
            await disk.writeZeroes(offset, 8192);
            model.fill(0, offset, offset + 8192);
          } else {
            await disk.write(filled(10_000, i + 1), offset);
            model.fill(i + 1, offset, offset + 10_000);
          }
          if (i % 6 === 5) {
            await disk.flush();
          }
        };
        try {
          await act();
        } catch (error) {
          if (!(error instanceof LamellaError) || error.code !== 'IO_ERROR') {
            throw error;
          }
          await act();
        }
      }
      storage.fails = () => false;
      t.ok(Buffer.compare(await content(disk), model) === 0, `${method} ${failAt}: content`);
      await disk.close();
      const verdict = await verify(inner);
      t.same(verdict, { corruptions: [], leaks: 0 }, `${method} ${failAt}`);
    }
  }
});

t.test('concurrent writes, zeroing, discards and flushes', async (t) => {
  for (const options of [{ cluster_size: 4096 }, { cluster_size: 16384, extended_l2: true }]) {
    const inner = await newImage(4 * M, options);
    const random = randomSource(99);
    const storage = new TracingStorage(inner, { delay: () => Math.floor(random() * 4) });
    const disk = await openDisk([storage], { writable: true, cacheSize: 64 * K });
    const model = new Uint8Array(disk.size);
    const lanes = Array.from({ length: 16 }, async (_, lane) => {
      const own = randomSource(lane);
      const start = lane * 256 * K;
      for (let i = 0; i < 40; i += 1) {
        const offset = start + Math.floor(own() * 200 * K);
        const length = 1 + Math.floor(own() * 50 * K);
        const choice = own();
        if (choice < 0.7) {
          model.fill(i + 1, offset, offset + length);
          await disk.write(filled(length, i + 1), offset);
        } else if (choice < 0.9) {
          model.fill(0, offset, offset + length);
          await disk.writeZeroes(offset, length, { unmap: own() < 0.5 });
          await disk.discard(offset, length);
        } else {
          await disk.flush();
        }
      }
    });
    await Promise.all(lanes);
    t.ok(Buffer.compare(await content(disk), model) === 0);
    await disk.close();
    t.same(await verify(inner), { corruptions: [], leaks: 0 });
  }
});

/** Storage calls for freeing a cluster of a full image and allocating two. */
async function callsToReallocate(clusters: number): Promise<number> {
  const inner = await newImage(clusters * 4096 + M, { cluster_size: 4096 });
  const fill = await openDisk([inner], { writable: true });
  await fill.write(filled(clusters * 4096, 1), 0);
  await fill.close();
  const storage = new TracingStorage(inner);
  const disk = await openDisk([storage], { writable: true });
  const before = storage.trace.length;
  await disk.discard(0, 4096);
  await disk.flush();
  await disk.write(filled(4096, 2), clusters * 4096);
  await disk.write(filled(4096, 2), clusters * 4096 + 4096);
  await disk.flush();
  return storage.trace.length - before;
}

t.test('allocation costs the same in small and large images', async (t) => {
  const [small, large] = [await callsToReallocate(2000), await callsToReallocate(20_000)];
  t.ok(large <= small + 4, `${small / 2} calls in a small image, ${large / 2} in a large one`);
});

t.test('freed space is used again, but not before the mapping is durable', async (t) => {
  const storage = await newImage(4 * M);
  const disk = await openDisk([storage], { writable: true });
  await disk.write(filled(2 * M, 1), 0);
  await disk.flush();
  const { size } = storage;
  await disk.discard(0, M);
  await disk.write(filled(65536, 2), 2 * M);
  t.equal(storage.size, size + 65536, 'not yet');
  await disk.flush();
  await disk.write(filled(M - 65536, 3), 2 * M + 65536);
  t.equal(storage.size, size + 65536, 'then it is');
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('discarding shows zeroes, never what the backing layer holds', async (t) => {
  for (const compat of ['1.1', '0.10']) {
    const base = await newImage(M);
    const below = await openDisk([base], { writable: true });
    await below.write(filled(M, 7), 0);
    await below.close();
    const top = await newImage(M, { compat }, { location: 'base' });
    const disk = await openDisk([top, base], { writable: true });
    await disk.write(filled(65536, 8), 0);
    await disk.discard(0, 131072);
    const seen = await content(disk);
    const expected = compat === '1.1' ? [0, 0, 7] : [8, 7, 7];
    t.same([seen[0], seen[65536], seen[131072]], expected, compat);
    await disk.close();
    t.same(await verify(top), { corruptions: [], leaks: 0 });
  }
});
