import { Disk, isPromise, MemoryStorage } from '@lamella/core';
import { RawDriver } from '@lamella/driver-raw';
import t from 'tap';

const driver = new RawDriver();

async function diskOver(storage: MemoryStorage): Promise<Disk> {
  const image = await driver.open(storage, { writable: true });
  return new Disk([{ format: 'raw', storage, image, writable: true }]);
}

t.test('raw takes what nobody else wants', async (t) => {
  t.equal(driver.probe(), 1);
  t.equal(driver.format, 'raw');
});

t.test('maps and places without change and without waiting', async (t) => {
  const storage = MemoryStorage.from(new Uint8Array(4096));
  const image = await driver.open(storage, { writable: true });
  t.equal(image.size, 4096);
  t.equal(image.clusterSize, 1);
  t.same(image.references, {});
  t.match(image.map(5, 100), { kind: 'data', length: 100, offset: 5, sparse: true });
  t.match(image.place(5, 100), { kind: 'in-place', length: 100, offset: 5 });
  t.notOk(isPromise(image.zero(0, 512, { unmap: true, zeroBelow: true })));
  await image.close();
  await image.close();
});

t.test('a file that ends within a sector', async (t) => {
  const storage = MemoryStorage.from(new Uint8Array(700).fill(7));
  const disk = await diskOver(storage);
  t.equal(disk.size, 1024);
  const bytes = new Uint8Array(1024).fill(1);
  await disk.read(bytes, 0);
  t.same(bytes, new Uint8Array(1024).fill(7, 0, 700));
  await disk.write(Uint8Array.of(9), 1000);
  t.equal(storage.size, 1001);
  t.equal(disk.size, 1024);
  await disk.read(bytes, 0);
  t.equal(bytes[1000], 9);
  t.equal(bytes[999], 0);
  await disk.close();
});

t.test('zeroes, discards, resizes', async (t) => {
  const storage = MemoryStorage.from(new Uint8Array(256 * 1024).fill(1));
  const disk = await diskOver(storage);
  await disk.writeZeroes(100, 1000);
  await disk.discard(128 * 1024, 64 * 1024);
  const bytes = new Uint8Array(256 * 1024);
  await disk.read(bytes, 0);
  t.ok(bytes.subarray(100, 1100).every((byte) => byte === 0));
  t.equal(bytes[99], 1);
  t.equal(bytes[1100], 1);
  t.equal(bytes[128 * 1024], 0);
  await disk.resize(1000);
  t.equal(storage.size, 1000);
  t.equal(disk.size, 1024);
  await disk.resize(2048);
  t.equal(disk.size, 2048);
  await disk.flush();
  await disk.close();
});

t.test('create', async (t) => {
  const storage = new MemoryStorage();
  await driver.create(storage, { size: 1000, options: {} });
  t.equal(storage.size, 1024);
  for (const [size, code] of [
    [-1, 'INVALID_ARGUMENT'],
    [0.5, 'INVALID_ARGUMENT'],
    [Number.NaN, 'INVALID_ARGUMENT'],
    [Number.MAX_SAFE_INTEGER, 'LIMIT_EXCEEDED'],
  ] as const) {
    t.throws(() => driver.validateCreate({ size, options: {} }), { code });
  }
  t.throws(() => driver.validateCreate({ size: 0, options: {}, backing: { location: 'a' } }), {
    code: 'INVALID_ARGUMENT',
  });
});
