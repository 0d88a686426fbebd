import { isLamellaError, MemoryStorage, viewOf, writeUint64 } from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import t from 'tap';
import { createOptions, driver, newImage } from './support/disks.js';

const M = 1024 * 1024;

interface Damage {
  readonly name: string;
  readonly code: string;
  /** Byte offset that the error names. */
  readonly offset?: number;
  readonly writable?: boolean;
  readonly message?: RegExp;
  damage(view: DataView): void;
}

const u32 = (at: number, value: number) => (view: DataView) => view.setUint32(at, value);
const u64 = (at: number, value: number) => (view: DataView) => writeUint64(view, at, value, 'big');

const DAMAGES: readonly Damage[] = [
  { name: 'magic', code: 'WRONG_FORMAT', offset: 0, damage: u32(0, 0x514649fa) },
  { name: 'version 1', code: 'UNSUPPORTED', offset: 4, damage: u32(4, 1) },
  { name: 'version 4', code: 'UNSUPPORTED', offset: 4, damage: u32(4, 4) },
  { name: 'cluster_bits 8', code: 'INVALID_HEADER', offset: 20, damage: u32(20, 8) },
  { name: 'cluster_bits 22', code: 'INVALID_HEADER', offset: 20, damage: u32(20, 22) },
  { name: 'cluster_bits huge', code: 'INVALID_HEADER', offset: 20, damage: u32(20, 0xffffffff) },
  { name: 'size beyond 2^53', code: 'LIMIT_EXCEEDED', offset: 24, damage: u32(24, 0x200000) },
  {
    name: 'AES without a crypto platform',
    code: 'UNSUPPORTED',
    damage: u32(32, 1),
    message: /no cryptography/,
  },
  {
    name: 'LUKS without a crypto platform',
    code: 'UNSUPPORTED',
    damage: u32(32, 2),
    message: /no cryptography/,
  },
  { name: 'crypt_method 3', code: 'UNSUPPORTED', offset: 32, damage: u32(32, 3) },
  { name: 'L1 too small', code: 'INVALID_HEADER', offset: 36, damage: u32(36, 0) },
  { name: 'L1 too large', code: 'LIMIT_EXCEEDED', offset: 36, damage: u32(36, 0x400001) },
  { name: 'L1 behind the end', code: 'TRUNCATED', offset: 40, damage: u32(36, 0x400000) },
  { name: 'L1 unaligned', code: 'INVALID_HEADER', offset: 40, damage: u64(40, 0x30200) },
  { name: 'L1 at 0', code: 'INVALID_HEADER', offset: 40, damage: u64(40, 0) },
  { name: 'L1 far off', code: 'TRUNCATED', offset: 40, damage: u64(40, 2 ** 50) },
  { name: 'L1 beyond 2^53', code: 'LIMIT_EXCEEDED', offset: 40, damage: u32(40, 0xffffffff) },
  { name: 'refcount table unaligned', code: 'INVALID_HEADER', offset: 48, damage: u64(48, 513) },
  { name: 'refcount table far off', code: 'TRUNCATED', offset: 48, damage: u64(48, 2 ** 40) },
  { name: 'no refcount table', code: 'INVALID_HEADER', offset: 56, damage: u32(56, 0) },
  { name: 'refcount table too large', code: 'LIMIT_EXCEEDED', offset: 56, damage: u32(56, 129) },
  { name: 'too many snapshots', code: 'LIMIT_EXCEEDED', offset: 60, damage: u32(60, 65537) },
  { name: 'snapshots nowhere', code: 'INVALID_HEADER', offset: 64, damage: u32(60, 1) },
  { name: 'unknown feature', code: 'UNSUPPORTED', offset: 72, damage: u32(76, 1 << 20) },
  { name: 'unknown feature 63', code: 'UNSUPPORTED', offset: 72, damage: u32(72, 0x80000000) },
  { name: 'data file left out', code: 'REFERENCE_DENIED', writable: true, damage: u32(76, 4) },
  { name: 'raw data file, but none', code: 'INVALID_HEADER', offset: 88, damage: u32(92, 2) },
  { name: 'corrupt, written', code: 'CORRUPT', writable: true, damage: u32(76, 2) },
  { name: 'zstd without its bit', code: 'INVALID_HEADER', offset: 104, damage: u32(104, 1 << 24) },
  { name: 'bit without compression type', code: 'INVALID_HEADER', offset: 104, damage: u32(76, 8) },
  {
    name: 'unknown compression type',
    code: 'UNSUPPORTED',
    offset: 104,
    damage: (view) => {
      view.setUint32(76, 8);
      view.setUint8(104, 2);
    },
  },
  { name: 'refcount_order 7', code: 'INVALID_HEADER', offset: 96, damage: u32(96, 7) },
  { name: 'header_length 96', code: 'INVALID_HEADER', offset: 100, damage: u32(100, 96) },
  { name: 'header_length 108', code: 'INVALID_HEADER', offset: 100, damage: u32(100, 108) },
  { name: 'header_length huge', code: 'INVALID_HEADER', offset: 100, damage: u32(100, 65544) },
  { name: 'extension too long', code: 'INVALID_HEADER', offset: 116, damage: u32(116, 0xffffffff) },
  {
    name: 'extension twice',
    code: 'INVALID_HEADER',
    damage: (view) => {
      view.setUint32(112 + 392, 0x6803f857);
      view.setUint32(112 + 396, 0);
    },
  },
  {
    name: 'backing name too long',
    code: 'INVALID_HEADER',
    offset: 16,
    damage: (view) => {
      u64(8, 600)(view);
      view.setUint32(16, 1024);
    },
  },
  {
    name: 'backing name outside the first cluster',
    code: 'INVALID_HEADER',
    offset: 8,
    damage: (view) => {
      u64(8, 65530)(view);
      view.setUint32(16, 10);
    },
  },
];

for (const { name, code, offset, writable, message, damage } of DAMAGES) {
  t.test(`refuses: ${name}`, async (t) => {
    const storage = await newImage(10 * M);
    const head = new Uint8Array(65536);
    storage.read(head, 0);
    damage(viewOf(head));
    storage.write(head, 0);
    try {
      await driver.open(storage, { writable: writable ?? false });
      t.fail('was opened');
    } catch (error) {
      t.ok(isLamellaError(error), String(error));
      if (isLamellaError(error)) {
        t.equal(error.code, code);
        t.equal(error.location, 'new.qcow2');
        t.ok(error.hint);
        if (offset !== undefined) {
          t.equal(error.offset, offset);
        }
        if (message !== undefined) {
          t.match(error.message, message);
        }
      }
    }
  });
}

t.test('a feature that the image names is named in the error', async (t) => {
  const storage = await newImage(M);
  storage.write(new TextEncoder().encode('warp drive\0'), 120 + 2);
  storage.write(new Uint8Array([0, 9]), 120);
  storage.write(new Uint8Array([0, 0, 2, 0]), 76);
  await t.rejects(driver.open(storage, { writable: false }), {
    code: 'UNSUPPORTED',
    problem: /warp drive/,
  });
});

t.test('extended L2 entries need clusters of 16k', async (t) => {
  const storage = await newImage(M, { cluster_size: '8k' });
  storage.write(new Uint8Array([0, 0, 0, 16]), 76);
  await t.rejects(driver.open(storage, { writable: false }), { code: 'INVALID_HEADER' });
});

t.test('short files', async (t) => {
  const storage = await newImage(M);
  const head = new Uint8Array(4096);
  storage.read(head, 0);
  for (const [length, code] of [
    [0, 'WRONG_FORMAT'],
    [3, 'TRUNCATED'],
    [71, 'TRUNCATED'],
    [100, 'TRUNCATED'],
    [4096, 'TRUNCATED'],
  ] as const) {
    const short = MemoryStorage.from(head.subarray(0, length));
    await t.rejects(driver.open(short, { writable: false }), { code }, `${length} bytes`);
  }
});

t.test('dirty and corrupt images can be read', async (t) => {
  for (const bits of [1, 2, 3]) {
    const storage = await newImage(M);
    storage.write(new Uint8Array([0, 0, 0, bits]), 76);
    const image = await driver.open(storage, { writable: false });
    t.same(image.map(0, 512), { kind: 'unallocated', length: 512 });
  }
});

t.test('unknown autoclear bits are cleared by writers only', async (t) => {
  const storage = await newImage(M);
  const bits = new Uint8Array(8);
  storage.write(new Uint8Array([1, 0, 0, 0, 0, 0, 0, 5]), 88);
  await (await driver.open(storage, { writable: false })).close();
  storage.read(bits, 88);
  t.same([...bits], [1, 0, 0, 0, 0, 0, 0, 5]);
  await (await driver.open(storage, { writable: true })).close();
  storage.read(bits, 88);
  t.same([...bits], [0, 0, 0, 0, 0, 0, 0, 0]);
});

t.test('probe', async (t) => {
  const head = new Uint8Array(4096);
  t.equal(driver.probe(head), 0);
  t.equal(driver.probe(new Uint8Array(10)), 0);
  (await newImage(M)).read(head, 0);
  t.equal(driver.probe(head), 100);
});

t.test('create options that make no sense', async (t) => {
  const refused: readonly (readonly [number, Record<string, string | number | boolean>])[] = [
    [M, { cluster_size: 256 }],
    [M, { cluster_size: '4M' }],
    [M, { cluster_size: 5000 }],
    [M, { refcount_bits: 3 }],
    [M, { refcount_bits: 128 }],
    [M, { refcount_bits: 8, compat: '0.10' }],
    [M, { lazy_refcounts: true, compat: 'v2' }],
    [M, { extended_l2: true, compat: '0.10' }],
    [M, { extended_l2: true, cluster_size: '8k' }],
    [M, { compression_type: 'zstd', compat: '0.10' }],
    [M, { compression_type: 'lzma' }],
    [M, { colour: 'red' }],
    [-1, {}],
    [0.5, {}],
    [2 ** 53, {}],
  ];
  for (const [size, options] of refused) {
    const make = () => driver.validateCreate(createOptions(size, options));
    t.throws(make, { code: 'INVALID_ARGUMENT' }, JSON.stringify(options));
  }
  const huge = () => driver.validateCreate(createOptions(2 ** 40, { cluster_size: 512 }));
  t.throws(huge, { code: 'LIMIT_EXCEEDED' });
  const name = { location: 'x'.repeat(1024) };
  t.throws(() => driver.validateCreate(createOptions(M, {}, name)), { code: 'INVALID_ARGUMENT' });
});

t.test('without a codec, compressed clusters alone cannot be read', async (t) => {
  const storage = await newImage(M);
  const bare = new Qcow2Driver([]);
  const image = await bare.open(storage, { writable: false });
  t.same(image.map(0, 1), { kind: 'unallocated', length: 1 });
});

t.test('what an image says about itself', async (t) => {
  const backing = { location: 'base.img', format: 'raw' };
  const storage = await newImage(M + 1, { cluster_size: 4096, refcount_bits: 8 }, backing);
  const image = await driver.open(storage, { writable: false });
  t.equal(image.size, M + 512);
  t.equal(image.clusterSize, 4096);
  t.same(image.references.backing, backing);
  t.same(image.options, {
    compat: '1.1',
    cluster_size: 4096,
    refcount_bits: 8,
    lazy_refcounts: false,
    extended_l2: false,
    compression_type: 'zlib',
  });
});
