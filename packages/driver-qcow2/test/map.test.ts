import { deflateRawSync } from 'node:zlib';
import { type Image, isPromise, MemoryStorage, type OptionValue, viewOf } from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import { TracingStorage } from '@lamella/driver-testkit';
import t from 'tap';
import { CountingCodec, driver, newImage } from './support/disks.js';

const CLUSTER = 65536;
const L1 = 3 * CLUSTER;
const L2 = 4 * CLUSTER;
/** First data cluster of the images made here. */
const DATA = 5 * CLUSTER;

type Entry = readonly [high: number, low: number, zeroes?: number, allocated?: number];

/** An image with one L2 table of the given entries and four data clusters. */
async function withEntries(
  entries: readonly Entry[],
  options: Record<string, OptionValue> = {},
): Promise<MemoryStorage> {
  const storage = await newImage(1024 * CLUSTER, options);
  const l1 = new Uint8Array(8);
  viewOf(l1).setUint32(0, 0x80000000);
  viewOf(l1).setUint32(4, L2);
  storage.write(l1, L1);
  const table = new Uint8Array(CLUSTER);
  const view = viewOf(table);
  const size = options.extended_l2 === true ? 16 : 8;
  for (const [index, [high, low, zeroes, allocated]] of entries.entries()) {
    view.setUint32(index * size, high);
    view.setUint32(index * size + 4, low);
    if (size === 16) {
      view.setUint32(index * size + 8, zeroes ?? 0);
      view.setUint32(index * size + 12, allocated ?? 0);
    }
  }
  storage.write(table, L2);
  storage.truncate(DATA + 4 * CLUSTER);
  return storage;
}

async function open(storage: MemoryStorage): Promise<Image> {
  return driver.open(storage, { writable: false });
}

const OWNED = 0x80000000;

t.test('every kind of cluster, joined with its like', async (t) => {
  const storage = await withEntries([
    [OWNED, DATA],
    [OWNED, DATA + CLUSTER],
    [OWNED, DATA + 3 * CLUSTER],
    [0, 1],
    [0, 1],
    [OWNED, DATA + 2 * CLUSTER + 1],
    [0, 0],
    [0, 0],
    [0, DATA],
  ]);
  const image = await open(storage);
  const map = (offset: number, length: number) => image.map(offset, length);
  t.same(map(100, 10), { kind: 'data', length: 10, storage, offset: DATA + 100 });
  t.match(map(100, 9 * CLUSTER), { kind: 'data', length: 2 * CLUSTER - 100, offset: DATA + 100 });
  t.match(map(2 * CLUSTER, CLUSTER), { offset: DATA + 3 * CLUSTER, length: CLUSTER });
  t.same(map(3 * CLUSTER + 5, 5 * CLUSTER), {
    kind: 'zero',
    length: 2 * CLUSTER - 5,
    allocated: false,
  });
  t.same(map(5 * CLUSTER + 7, 5 * CLUSTER), {
    kind: 'zero',
    length: CLUSTER - 7,
    allocated: true,
    offset: DATA + 2 * CLUSTER + 7,
  });
  t.same(map(6 * CLUSTER, 9 * CLUSTER), { kind: 'unallocated', length: 2 * CLUSTER });
  t.match(map(8 * CLUSTER, 1), { kind: 'data', offset: DATA });
});

t.test('a missing L2 table is one long unallocated extent', async (t) => {
  const image = await open(await newImage(2 ** 40));
  t.same(image.map(12345, 2 ** 40 - 12345), { kind: 'unallocated', length: 2 ** 40 - 12345 });
});

t.test('subclusters', async (t) => {
  const sub = CLUSTER / 32;
  const storage = await withEntries(
    [
      [OWNED, DATA, 0x0000_00f0, 0x0000_000f],
      [OWNED, DATA + CLUSTER, 0, 0xffff_ffff],
      [OWNED, DATA + 2 * CLUSTER, 0xffff_0000, 0x0000_ffff],
      [0, 0, 0xffff_ffff, 0],
      [0, 0, 0x8000_0000, 0],
    ],
    { extended_l2: true },
  );
  const image = await open(storage);
  const map = (offset: number, length: number) => image.map(offset, length);
  t.match(map(10, CLUSTER), { kind: 'data', length: 4 * sub - 10, offset: DATA + 10 });
  t.match(map(4 * sub, CLUSTER), { kind: 'zero', length: 4 * sub, allocated: true });
  t.same(map(8 * sub, 9 * CLUSTER), {
    kind: 'unallocated',
    length: 24 * sub,
    offset: DATA + 8 * sub,
  });
  t.match(map(CLUSTER + sub, 9 * CLUSTER), {
    kind: 'data',
    length: 47 * sub,
    offset: DATA + CLUSTER + sub,
  });
  t.match(map(2 * CLUSTER + 16 * sub, 9 * CLUSTER), { kind: 'zero', length: 16 * sub });
  t.same(map(3 * CLUSTER, 9 * CLUSTER), { kind: 'zero', length: CLUSTER, allocated: false });
  t.same(map(4 * CLUSTER, CLUSTER), { kind: 'unallocated', length: 31 * sub });
  t.same(map(4 * CLUSTER + 31 * sub, 2 * CLUSTER), { kind: 'zero', length: sub, allocated: false });
});

const BROKEN: readonly (readonly [string, Entry, Record<string, OptionValue>])[] = [
  ['reserved bits 56-61', [OWNED | 0x01000000, DATA], {}],
  ['reserved bits 1-8', [OWNED, DATA + 2], {}],
  ['an unaligned offset', [OWNED, DATA + 512], {}],
  ['COPIED without an offset', [OWNED, 0], {}],
  ['an offset behind the end', [OWNED + 1, 0], {}],
  ['the zero flag in version 2', [OWNED, DATA + 1], { compat: '0.10' }],
  ['the zero flag with subclusters', [OWNED, DATA + 1, 0, 0], { extended_l2: true }],
  ['subclusters allocated and zero', [OWNED, DATA, 1, 1], { extended_l2: true }],
  ['subclusters without a host cluster', [0, 0, 0, 1], { extended_l2: true }],
  ['compressed with subclusters', [0x40000000, DATA, 0, 1], { extended_l2: true }],
  ['compressed behind the end', [0x40000100, 0], {}],
];

for (const [name, entry, options] of BROKEN) {
  t.test(`broken entry: ${name}`, async (t) => {
    const image = await open(await withEntries([[0, 0], entry], options));
    const at = L2 + (options.extended_l2 === true ? 16 : 8);
    const map = async () => image.map(CLUSTER, 512);
    await t.rejects(map(), { code: 'CORRUPT', offset: at, location: 'new.qcow2' });
    t.same(image.map(0, 512), { kind: 'unallocated', length: 512 }, 'its neighbour is readable');
  });
}

t.test('broken L1 entries', async (t) => {
  for (const [high, low] of [
    [OWNED, L2 + 512],
    [OWNED + 1, 0],
  ] as const) {
    const storage = await withEntries([]);
    const entry = new Uint8Array(8);
    viewOf(entry).setUint32(0, high);
    viewOf(entry).setUint32(4, low);
    storage.write(entry, L1);
    const image = await open(storage);
    t.throws(() => image.map(0, 1), { code: 'CORRUPT', offset: L1 });
  }
});

t.test('reserved bits of L1 entries are ignored', async (t) => {
  const storage = await withEntries([[OWNED, DATA]]);
  storage.write(new Uint8Array([0xff, 0, 0, 0, 0, 4, 1, 0xff]), L1);
  t.match(await (await open(storage)).map(0, 1), { kind: 'data', offset: DATA });
});

t.test('a compressed cluster is decompressed once for many small reads', async (t) => {
  const plain = Uint8Array.from({ length: CLUSTER }, (_, i) => (i >>> 8) & 0xff);
  const packed = deflateRawSync(plain);
  const sectors = Math.floor((((DATA + 100) % 512) + packed.length - 1) / 512);
  const storage = await withEntries([[0x40000000 | (sectors << 22), DATA + 100]]);
  storage.write(packed, DATA + 100);
  const codec = new CountingCodec();
  const image = await new Qcow2Driver([codec]).open(storage, { writable: false });
  const parts = await Promise.all(
    Array.from({ length: 16 }, async (_, i) => {
      const extent = await image.map(i * 4096, 4096);
      return extent.kind === 'compressed' ? await extent.load() : new Uint8Array(0);
    }),
  );
  t.ok(Buffer.compare(Buffer.concat(parts), plain) === 0);
  t.equal(codec.calls, 1);
  const bare = await new Qcow2Driver([]).open(storage, { writable: false });
  t.throws(() => bare.map(0, 1), { code: 'UNSUPPORTED', problem: /zlib/ });
  storage.write(new Uint8Array(200).fill(0xff), DATA + 100);
  const extent = await (await open(storage)).map(0, 1);
  if (extent.kind === 'compressed') {
    await t.rejects(async () => extent.load(), { code: 'CORRUPT', offset: DATA + 100 });
  }
});

t.test('a cached lookup is synchronous, a miss is read once', async (t) => {
  const storage = new TracingStorage(await withEntries([[OWNED, DATA]]), { delay: () => 1 });
  const image = await driver.open(storage, { writable: false });
  const before = storage.count('read');
  const misses = [image.map(0, 1), image.map(CLUSTER, 1), image.map(2 * CLUSTER, 1)];
  t.ok(misses.every((extent) => isPromise(extent)));
  await Promise.all(misses);
  t.equal(storage.count('read') - before, 1);
  t.notOk(isPromise(image.map(0, 1)));
});
