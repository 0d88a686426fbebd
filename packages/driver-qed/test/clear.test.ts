import { Disk, MemoryStorage } from '@lamella/core';
import t from 'tap';
import {
  create,
  driver,
  inspect,
  MIB,
  openDisk,
  openReadOnly,
  openWritable,
  pattern,
  readAll,
  sameBytes,
} from './helpers.js';

t.test('zero: with nothing below, unallocated clusters stay as they are', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 8 * MIB);
  const image = await openWritable(storage);
  t.equal(await image.zero(0, 8 * MIB, { unmap: true, zeroBelow: true }), 8 * MIB);
  await image.close();
  t.match(await inspect(storage), { clusters: 2, problems: [] });
});

t.test(
  'zero: over a backing layer, zero entries; allocated clusters keep their space',
  async (t) => {
    const storage = new MemoryStorage();
    await create(storage, 8 * MIB + 512);
    const disk = await openDisk(storage);
    await disk.write(pattern(1, 8192), 4096);
    await disk.close();
    const image = await openWritable(storage);
    const length = 8 * MIB + 512;
    t.equal(await image.zero(0, length, { unmap: true, zeroBelow: false }), length);
    t.same(await image.map(0, 4096), { kind: 'zero', length: 4096, allocated: false });
    t.match(await image.map(4096, MIB), { kind: 'data', length: 8192 });
    t.match(await image.map(12288, 1 << 30), { kind: 'zero', length: 2 * MIB - 12288 });
    t.match(await image.map(8 * MIB, 512), { kind: 'zero', length: 512 });
    const placed = await image.place(12288, 4096);
    t.match(placed, { kind: 'allocation' }, 'a zero cluster is allocated when written');
    if (placed.kind === 'allocation') {
      await placed.commit();
    }
    await image.close();
    t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false });
    const again = await openDisk(storage, false);
    t.ok((await readAll(again)).every((byte) => byte === 0));
    await again.close();
  },
);

t.test('discard keeps mappings and never shows the backing layer', async (t) => {
  const backing = new MemoryStorage();
  await create(backing, 4 * MIB);
  const bottom = await openDisk(backing);
  await bottom.write(new Uint8Array(4 * MIB).fill(0xbb), 0);
  await bottom.close();
  const storage = new MemoryStorage();
  await create(storage, 4 * MIB);
  const image = await openWritable(storage);
  const below = await openReadOnly(backing);
  const disk = new Disk(
    [{ format: 'qed', storage, image, writable: true }],
    [{ format: 'qed', storage: backing, image: below, writable: false }],
  );
  await disk.write(pattern(1, 5000), 4096 + 10);
  await disk.writeZeroes(MIB, 10000);
  const expected = new Uint8Array(4 * MIB).fill(0xbb);
  expected.set(pattern(1, 5000), 4096 + 10);
  expected.fill(0, MIB, MIB + 10000);
  t.ok(sameBytes(await readAll(disk), expected));
  await disk.discard(0, 2 * MIB);
  const after = await readAll(disk);
  t.ok(after.every((byte, i) => byte === expected[i] || byte === 0));
  t.equal(after[0], 0xbb, 'unallocated clusters are left alone');
  await disk.flush();
  await image.close();
  t.match(await inspect(storage), { problems: [], leaks: 0 });
});

t.test('resize', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 4096 * 3 + 512);
  const image = await openWritable(storage);
  const placement = await image.place(4096 * 3, 512);
  if (placement.kind === 'allocation') {
    storage.write(pattern(1, 4096), placement.offset);
    await placement.commit();
  }
  await t.rejects(image.resize(512), { code: 'UNSUPPORTED' });
  await t.rejects(image.resize(1024 * MIB + 1), { code: 'LIMIT_EXCEEDED' });
  await image.resize(1024 * MIB - 1);
  t.equal(image.size, 1024 * MIB);
  await image.close();
  const disk = await openDisk(storage, false);
  t.equal(disk.size, 1024 * MIB);
  const bytes = new Uint8Array(8192);
  await disk.read(bytes, 4096 * 3);
  t.ok(sameBytes(bytes.subarray(0, 512), pattern(1, 4096).subarray(0, 512)));
  t.ok(
    bytes.subarray(512).every((byte) => byte === 0),
    'new bytes are zeroes',
  );
  await disk.close();
  t.match(await inspect(storage), { problems: [], leaks: 0 });
});

t.test('create', async (t) => {
  const storage = new MemoryStorage();
  await driver.create(storage, {
    size: 1000,
    backing: { location: 'ü.img', format: 'raw' },
    options: {},
  });
  t.equal(storage.size, 5 * 65536);
  const image = await openReadOnly(storage);
  t.equal(image.size, 1024);
  t.same(image.references.backing, { location: 'ü.img', format: 'raw' });
  t.same(image.options, { cluster_size: 65536, table_size: 4 });
  await image.close();
  await image.close();
  for (const [code, size, options, location] of [
    ['INVALID_ARGUMENT', 0, { cluster_size: 2048 }],
    ['INVALID_ARGUMENT', 0, { cluster_size: 65537 }],
    ['INVALID_ARGUMENT', 0, { cluster_size: 2 ** 27 }],
    ['INVALID_ARGUMENT', 0, { table_size: 3 }],
    ['INVALID_ARGUMENT', 0, { table_size: 32 }],
    ['INVALID_ARGUMENT', -1, {}],
    ['INVALID_ARGUMENT', 0.5, {}],
    ['LIMIT_EXCEEDED', 2 ** 30 + 1, { cluster_size: 4096, table_size: 1 }],
    ['LIMIT_EXCEEDED', 2 ** 53 - 1, { cluster_size: 2 ** 26, table_size: 16 }],
    ['INVALID_ARGUMENT', 0, {}, ''],
    ['INVALID_ARGUMENT', 0, {}, 'a\0b'],
    ['LIMIT_EXCEEDED', 0, {}, 'a'.repeat(1024)],
  ] as const) {
    const backing = location === undefined ? undefined : { location };
    const what = `${code} ${size} ${JSON.stringify(options)} ${location?.slice(0, 3)}`;
    t.throws(() => driver.validateCreate({ size, backing, options }), { code }, what);
  }
});
