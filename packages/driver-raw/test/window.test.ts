import { Disk, MemoryStorage, type OptionValues } from '@lamella/core';
import { RawDriver } from '@lamella/driver-raw';
import t from 'tap';

const driver = new RawDriver();

async function windowDisk(storage: MemoryStorage, options: OptionValues): Promise<Disk> {
  const image = await driver.open(storage, { writable: true, options });
  return new Disk([{ format: 'raw', storage, image, writable: true }]);
}

t.test('sizes of windows', async (t) => {
  // The sizes that QEMU 7.2 gives for a file of 2000 bytes.
  for (const [options, size] of [
    [{}, 2048],
    [{ offset: 100 }, 2048],
    [{ offset: 512 }, 1536],
    [{ offset: 512, size: 512 }, 512],
    [{ offset: '1k', size: '1k' }, 1024],
    [{ offset: 1500 }, 1024],
    [{ offset: 2000 }, 512],
    [{ offset: 2048 }, 0],
  ] as const) {
    const disk = await windowDisk(MemoryStorage.from(new Uint8Array(2000)), options);
    t.equal(disk.size, size, JSON.stringify(options));
    await disk.close();
  }
});

t.test('windows that do not fit', async (t) => {
  for (const [options, code] of [
    [{ offset: 4096 }, 'OUT_OF_RANGE'],
    [{ offset: 1024, size: 1536 }, 'OUT_OF_RANGE'],
    [{ offset: 512, size: 1000 }, 'INVALID_ARGUMENT'],
    [{ offset: -1 }, 'INVALID_ARGUMENT'],
    [{ offset: 'x' }, 'INVALID_ARGUMENT'],
    [{ start: 1 }, 'INVALID_ARGUMENT'],
  ] as const) {
    const storage = MemoryStorage.from(new Uint8Array(2000));
    await t.rejects(driver.open(storage, { writable: false, options }), { code });
  }
});

t.test('a window reads and changes its part only', async (t) => {
  const storage = MemoryStorage.from(new Uint8Array(256 * 1024).fill(1));
  const disk = await windowDisk(storage, { offset: 64 * 1024 + 100, size: 64 * 1024 });
  t.match(disk.layers[0]?.options, { offset: 64 * 1024 + 100, size: 64 * 1024 });
  await disk.write(new Uint8Array(1000).fill(2), 0);
  await disk.writeZeroes(2000, 500);
  await disk.discard(0, 0);
  await disk.write(Uint8Array.of(3), disk.size - 1);
  await t.rejects(disk.write(Uint8Array.of(3), disk.size), { code: 'OUT_OF_RANGE' });
  const seen = new Uint8Array(64 * 1024);
  await disk.read(seen, 0);
  const expected = new Uint8Array(256 * 1024).fill(1);
  const start = 64 * 1024 + 100;
  expected.fill(2, start, start + 1000).fill(0, start + 2000, start + 2500);
  expected[start + 64 * 1024 - 1] = 3;
  const all = new Uint8Array(256 * 1024);
  storage.read(all, 0);
  t.equal(Buffer.compare(all, expected), 0);
  t.equal(Buffer.compare(seen, expected.subarray(start, start + 64 * 1024)), 0);
  await t.rejects(disk.resize(1024), { code: 'UNSUPPORTED' });
  for await (const extent of disk.extents({ length: 512 })) {
    t.match(extent, { kind: 'data', hostOffset: start, length: 512 });
  }
  await disk.close();
});

t.test('a window up to the end moves the end', async (t) => {
  const storage = MemoryStorage.from(new Uint8Array(4096));
  const disk = await windowDisk(storage, { offset: 1024 });
  await disk.resize(8192);
  t.equal(storage.size, 9216);
  t.equal(disk.size, 8192);
  await disk.resize(700);
  t.equal(storage.size, 1724);
  t.equal(disk.size, 1024);
  await disk.close();
});
