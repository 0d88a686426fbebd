import { type Extent, isPromise, MemoryStorage, type Placement } from '@lamella/core';
import { TracingStorage } from '@lamella/driver-testkit';
import t from 'tap';
import {
  create,
  driver,
  inspect,
  KIB,
  MIB,
  openDisk,
  openReadOnly,
  openWritable,
  pattern,
  readAll,
  sameBytes,
} from './helpers.js';

function allocationOf(placement: Placement) {
  if (placement.kind !== 'allocation') {
    throw new Error(`expected an allocation, got ${placement.kind}`);
  }
  return placement;
}

function brief(extent: Extent): string {
  return `${extent.kind} ${extent.length}${extent.kind === 'data' ? ` @${extent.offset}` : ''}`;
}

t.test('an empty image is one unallocated extent', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 512 * MIB);
  const image = await openReadOnly(storage);
  t.same(await image.map(0, 512 * MIB), { kind: 'unallocated', length: 512 * MIB });
  t.same(await image.map(12345, 1000 * KIB), { kind: 'unallocated', length: 1000 * KIB });
  t.throws(() => image.place(0, 1), { code: 'READ_ONLY' });
  await t.rejects(image.resize(MIB * 1024), { code: 'READ_ONLY' });
  await image.close();
});

t.test('place, commit, map', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 4 * MIB);
  const image = await openWritable(storage);
  const first = allocationOf(await image.place(4096 * 3 + 100, 4096 * 2));
  t.match(first, {
    length: 8192,
    offset: 8192 + 100,
    copyBefore: 100,
    copyAfter: 3996,
    fresh: true,
  });
  t.same(await image.map(4096 * 3, 4096), { kind: 'unallocated', length: 4096 }, 'not yet mapped');
  await first.commit();
  t.equal(brief(await image.map(0, 4 * MIB)), 'unallocated 12288');
  t.equal(brief(await image.map(12288, 4 * MIB)), 'data 12288 @8192');
  t.equal(brief(await image.map(12388, 500)), 'data 500 @8292');
  t.equal(brief(await image.map(24576, 4 * MIB)), `unallocated ${2 * MIB - 24576}`);
  const second = image.place(4096, 4096 * 4);
  t.notOk(isPromise(second), 'at once, while there is room');
  t.match(await second, { kind: 'allocation', length: 8192, copyBefore: 0, copyAfter: 0 });
  const committed = allocationOf(await second).commit();
  t.notOk(isPromise(committed), 'at once, with the table cached');
  const inPlace = image.place(4096 * 3 + 7, 4096 * 2);
  t.match(inPlace, { kind: 'in-place', length: 8192, offset: 8192 + 7 });
  await image.close();
  t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false, clusters: 8 });
});

t.test('maps at once when cached, without storage calls', async (t) => {
  const storage = new TracingStorage(new MemoryStorage(), { delay: () => 1 });
  await create(storage, 64 * MIB, { cluster_size: 65536 });
  const disk = await openDisk(storage);
  await disk.write(pattern(1, 65536 * 4), 0);
  await disk.close();
  const image = await openReadOnly(storage);
  const cold = image.map(0, 4096);
  t.ok(isPromise(cold));
  await cold;
  const reads = storage.count('read');
  t.equal(brief(await image.map(65536, 65536)), `data 65536 @${65536 * 3}`);
  t.notOk(isPromise(image.map(70000, 4096)));
  t.equal(storage.count('read'), reads);
});

t.test('the last cluster may reach past the end of the disk', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 65536 + 1000, { cluster_size: 65536 });
  const image = await openWritable(storage);
  t.equal(image.size, 65536 + 1024);
  const placement = allocationOf(await image.place(65536 + 24, 1000));
  t.match(placement, { length: 1000, copyBefore: 24, copyAfter: 65536 - 1024 });
  await placement.commit();
  t.equal(brief(await image.map(65536, 1024)), `data 1024 @${placement.offset - 24}`);
  await image.close();
  t.match(await inspect(storage), { problems: [], leaks: 0 });
});

t.test('two commits at once make one table', async (t) => {
  const storage = new TracingStorage(new MemoryStorage(), { delay: () => 2 });
  await create(storage, 8 * MIB);
  const image = await openWritable(storage);
  const placements = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => allocationOf(await image.place(i * 300 * KIB, 4096))),
  );
  t.equal(new Set(placements.map(({ offset }) => offset)).size, 8, 'distinct space');
  await Promise.all(placements.map((placement) => placement.commit()));
  for (const [i, { offset, copyBefore }] of placements.entries()) {
    t.equal(brief(await image.map(i * 300 * KIB, 1)), `data 1 @${offset}`);
    t.equal(copyBefore, 0);
  }
  await image.close();
  // 8 x 300 KiB reach into the second table of 2 MiB; 8 data clusters, 2 tables, header, L1.
  t.match(await inspect(storage), { problems: [], leaks: 0, clusters: 12 });
});

t.test('entries beside any place for them are corrupt when used', async (t) => {
  const cases: readonly (readonly [string, number, number])[] = [
    ['unaligned', 8192 + 512, 0],
    ['in the header', 2, 0],
    ['the L1 table', 4096, 0],
    ['behind the end', 1 << 20, 0],
    ['far behind the end', 0, 0xffff_ffff],
  ];
  for (const [name, low, high] of cases) {
    const storage = new MemoryStorage();
    await create(storage, 4 * MIB);
    const disk = await openDisk(storage);
    await disk.write(pattern(1, 4096), 0);
    await disk.close();
    const bytes = new Uint8Array(storage.size);
    storage.read(bytes, 0);
    const view = new DataView(bytes.buffer);
    const table = view.getUint32(4096, true);
    for (const [what, position] of [
      ['L1', 4096],
      ['L2', table],
    ] as const) {
      const copy = MemoryStorage.from(bytes);
      const field = new DataView(new ArrayBuffer(8));
      field.setUint32(0, low, true);
      field.setUint32(4, high, true);
      copy.write(new Uint8Array(field.buffer), position);
      const image = await openWritable(copy);
      const error = { code: 'CORRUPT', offset: position };
      t.throws(() => image.map(0, 1), error, `${what} ${name}: map`);
      t.throws(() => image.place(0, 1), error, `${what} ${name}: place`);
      await t.rejects(
        image.discard(0, 4096, { zeroBelow: true }),
        error,
        `${what} ${name}: discard`,
      );
      await image.close();
    }
  }
});

t.test('an aborted allocation is used again, and is not fresh', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 4 * MIB);
  const image = await openWritable(storage);
  await allocationOf(await image.place(0, 4096)).commit();
  const dropped = allocationOf(await image.place(4096, 8192));
  const last = allocationOf(await image.place(65536, 4096));
  dropped.abort();
  await last.commit();
  const again = allocationOf(await image.place(8192, 4096));
  t.match(again, { offset: dropped.offset, fresh: false, length: 4096 });
  await again.commit();
  const part = allocationOf(await image.place(16384, 8192));
  t.match(part, { offset: dropped.offset + 4096, fresh: false, length: 4096 });
  part.abort();
  await image.close();
  t.match(await inspect(storage), { problems: [], leaks: 0 });
});

t.test('a table in used space is zeroed first', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 4 * MIB);
  const image = await openWritable(storage);
  const dropped = allocationOf(await image.place(4096, 4096));
  const kept = allocationOf(await image.place(0, 4096));
  storage.write(pattern(5, 4096), dropped.offset);
  dropped.abort();
  await kept.commit();
  t.equal(brief(await image.map(4096, 4 * MIB)), `unallocated ${2 * MIB - 4096}`);
  await image.close();
  t.match(await inspect(storage), { problems: [], leaks: 0, clusters: 4 });
});

t.test('space that was aborted at the end of the file is cut off', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 4 * MIB);
  const image = await openWritable(storage);
  const placements = await Promise.all([0, 1, 2, 3].map((i) => image.place(i * 4096, 4096)));
  for (const index of [1, 0, 3, 2]) {
    allocationOf(placements[index] ?? (image.place(0, 1) as Placement)).abort();
  }
  const again = allocationOf(await image.place(0, 4096));
  t.match(again, { offset: 8192, fresh: false });
  again.abort();
  await image.close();
  t.match(await inspect(storage), { problems: [], leaks: 0, clusters: 2 });
});

t.test('a file that ends within a cluster', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 4 * MIB);
  storage.write(pattern(9, 1000), 8192);
  const disk = await openDisk(storage);
  await disk.write(pattern(1, 100), 0);
  const wanted = new Uint8Array(4 * MIB);
  wanted.set(pattern(1, 100));
  t.ok(sameBytes(await readAll(disk), wanted), 'the stray bytes do not show');
  await disk.close();
  t.match(await inspect(storage), { problems: [], leaks: 0 });
});

t.test('a tiny cache still works, writing back on the way', async (t) => {
  const storage = new TracingStorage(new MemoryStorage(), { delay: (_, id) => id % 3 });
  await create(storage, 256 * MIB);
  const image = await driver.open(storage, { writable: true, cacheSize: 0 });
  for (let i = 0; i < 128; i += 1) {
    const placement = allocationOf(await image.place(i * 2 * MIB, 4096));
    await storage.write(pattern(i, 4096), placement.offset);
    await placement.commit();
  }
  await image.close();
  t.match(await inspect(storage), { problems: [], leaks: 0 });
  const disk = await openDisk(storage, false);
  for (let i = 0; i < 128; i += 1) {
    const buffer = new Uint8Array(4096);
    await disk.read(buffer, i * 2 * MIB);
    t.ok(sameBytes(buffer, pattern(i, 4096)));
  }
  await disk.close();
});
