import { Disk, MemoryStorage, type Preallocation } from '@lamella/core';
import { RawDriver } from '@lamella/driver-raw';
import { FaultyStorage, TracingStorage } from '@lamella/driver-testkit';
import t from 'tap';

const driver = new RawDriver();
const MIB = 1024 * 1024;

/** What a storage was asked to do that changes it. */
function changes(storage: TracingStorage): string[] {
  return storage.trace
    .filter(({ phase, method }) => phase === 'begin' && /write|truncate/.test(method))
    .map(({ method, offset, length }) => `${method} ${offset} ${length}`);
}

t.test('growing', async (t) => {
  for (const [preallocation, expected] of [
    ['off', [`truncate ${3 * MIB} 0`]],
    ['falloc', [`writeZeroes 1000 ${3 * MIB - 1000}`]],
    [
      'full',
      [`write 1000 ${MIB}`, `write ${MIB + 1000} ${MIB}`, `write ${2 * MIB + 1000} ${MIB - 1000}`],
    ],
  ] as const) {
    const storage = new TracingStorage(MemoryStorage.from(new Uint8Array(1000).fill(1)));
    const image = await driver.open(storage, { writable: true });
    await image.resize(3 * MIB, { preallocation });
    t.same(changes(storage), expected, preallocation);
    t.equal(image.size, 3 * MIB);
    t.equal(storage.size, 3 * MIB);
    await image.close();
  }
});

t.test('what cannot be preallocated', async (t) => {
  const storage = MemoryStorage.from(new Uint8Array(4096));
  const image = await driver.open(storage, { writable: true });
  await t.rejects(image.resize(8192, { preallocation: 'metadata' }), { code: 'INVALID_ARGUMENT' });
  await t.rejects(image.resize(1024, { preallocation: 'full' }), { code: 'INVALID_ARGUMENT' });
  t.equal(storage.size, 4096);
  await image.close();
});

t.test('a growth that fails or is aborted is undone', async (t) => {
  const storage = new FaultyStorage(MemoryStorage.from(new Uint8Array(4096)));
  const image = await driver.open(storage, { writable: true });
  storage.fails = ({ method, offset }) => method === 'write' && offset > MIB;
  await t.rejects(image.resize(8 * MIB, { preallocation: 'full' }), { code: 'IO_ERROR' });
  t.equal(storage.size, 4096);
  storage.fails = () => false;
  const control = new AbortController();
  const progress: number[] = [];
  const aborted = image.resize(8 * MIB, {
    preallocation: 'full',
    signal: control.signal,
    onProgress: ({ done }) => {
      progress.push(done);
      control.abort();
    },
  });
  await t.rejects(aborted, { code: 'ABORTED' });
  t.same(progress, [MIB]);
  t.equal(storage.size, 4096);
  t.equal(image.size, 4096);
  await image.close();
});

t.test('create', async (t) => {
  const kinds: readonly (readonly [Preallocation, RegExp])[] = [
    // What direct I/O finds its alignment by.
    ['off', /^write 0 1536,truncate 1536 0$/],
    ['falloc', /^write 0 1536,writeZeroes 0 1536$/],
    ['full', /^write 0 1536$/],
  ];
  for (const [preallocation, expected] of kinds) {
    const storage = new TracingStorage(new MemoryStorage());
    await driver.create(storage, { size: 1300, options: { preallocation } });
    t.match(changes(storage).join(), expected);
  }
  for (const preallocation of ['metadata', 'some']) {
    t.throws(() => driver.validateCreate({ size: 0, options: { preallocation } }), {
      code: 'INVALID_ARGUMENT',
    });
  }
});

t.test('measure', async (t) => {
  t.same(await driver.measure({ size: 1000, options: {} }), {
    required: 1024,
    fullyAllocated: 1024,
  });
  await t.rejects(driver.measure({ size: -1, options: {} }), { code: 'INVALID_ARGUMENT' });
});

t.test('a new disk over preallocated space reads as zeroes', async (t) => {
  const storage = new MemoryStorage();
  await driver.create(storage, { size: 2 * MIB, options: { preallocation: 'full' } });
  const image = await driver.open(storage, { writable: false });
  const disk = new Disk([{ format: 'raw', storage, image, writable: false }]);
  const bytes = new Uint8Array(2 * MIB).fill(1);
  await disk.read(bytes, 0);
  t.ok(bytes.every((byte) => byte === 0));
  await disk.close();
});
