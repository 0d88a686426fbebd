import { join } from 'node:path';
import type { ByteRange, MeasureRequest, OptionValue } from '@lamella/core';
import t, { type Test } from 'tap';
import { driver } from './support/disks.js';
import { cryptoDriver, LUKS, newEncrypted } from './support/encrypted.js';
import { directory, qemuImg, qemuIo, qemuTest } from './support/qemu.js';

const K = 1024;
const M = K * K;
const G = K * M;
const T = K * G;

async function* each(runs: readonly ByteRange[]): AsyncGenerator<ByteRange> {
  yield* runs;
}

/** Options as qemu-img wants them on its command line. */
function written(options: Record<string, OptionValue>): string[] {
  const entries = Object.entries(options).map(([name, value]) => {
    const text = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
    return `${name}=${text}`;
  });
  const encrypted = options['encrypt.format'] !== undefined;
  // qemu-img really makes the LUKS header that it measures.
  const luks = options['encrypt.format'] === 'luks' ? ['encrypt.iter-time=10'] : [];
  const all = [...entries, ...luks, ...(encrypted ? ['encrypt.key-secret=s'] : [])];
  return [
    ...(encrypted ? ['--object', 'secret,id=s,data=secret'] : []),
    ...(all.length === 0 ? [] : ['-o', all.join(',')]),
  ];
}

/** What qemu-img measures, under our names. */
function theirs(...args: string[]) {
  const parsed = JSON.parse(qemuImg('measure', '--output=json', '-O', 'qcow2', ...args));
  return {
    required: parsed.required,
    fullyAllocated: parsed['fully-allocated'],
    ...(parsed.bitmaps === undefined ? {} : { bitmaps: parsed.bitmaps }),
  };
}

const CASES: readonly (readonly [Record<string, OptionValue>, readonly number[]])[] = [
  [{}, [0, 512, 1_000_000, M, G, T, 64 * T]],
  [{ compat: '0.10' }, [G]],
  ...['512', '4k', '2M'].map(
    (size) => [{ cluster_size: size }, [0, 1_000_000, G, 100 * G]] as const,
  ),
  ...[1, 2, 4, 8, 32, 64].map(
    (bits) => [{ refcount_bits: bits, cluster_size: '4k' }, [M, 10 * G, T]] as const,
  ),
  [{ refcount_bits: 1, cluster_size: 512 }, [10 * G]],
  [{ refcount_bits: 64, cluster_size: 512 }, [10 * G]],
  [{ extended_l2: true }, [M, T]],
  [{ extended_l2: true, cluster_size: '16k' }, [M, T]],
  ...['metadata', 'falloc', 'full'].map((mode) => [{ preallocation: mode }, [M, G]] as const),
  [{ lazy_refcounts: true, compression_type: 'zstd' }, [G]],
  [{ data_file: 'x', data_file_raw: true }, [G]],
  [{ 'encrypt.format': 'aes' }, [G]],
  ...['64k', '4k'].map(
    (size) => [{ 'encrypt.format': 'luks', cluster_size: size }, [1_000_000, G]] as const,
  ),
  [{ 'encrypt.format': 'luks', 'encrypt.cipher-alg': 'aes-128' }, [G]],
  [{ 'encrypt.format': 'luks', 'encrypt.cipher-mode': 'cbc' }, [G]],
];

for (const [options, sizes] of CASES) {
  t.test(`measures as qemu-img does: ${JSON.stringify(options)}`, qemuTest, async (t) => {
    for (const size of sizes) {
      const measured = await cryptoDriver.measure({ size, options, data: each([]) });
      t.same(measured, theirs('--size', String(size), ...written(options)), `${size} bytes`);
    }
  });
}

/** The runs of data in an image, and its bitmaps, as qemu-img tells them. */
function sourceOf(path: string): Omit<MeasureRequest, 'options'> {
  const info = JSON.parse(qemuImg('info', '--output=json', path));
  const map: { start: number; length: number; zero: boolean; data: boolean }[] = JSON.parse(
    qemuImg('map', '--output=json', path),
  );
  const runs = map
    .filter(({ zero, data }) => data && !zero)
    .map(({ start, length }) => ({ offset: start, length }));
  const bitmaps: { name: string; granularity: number }[] =
    info['format-specific']?.data?.bitmaps ?? [];
  return {
    size: info['virtual-size'],
    data: each(runs),
    ...(info.format === 'qcow2' ? { bitmaps } : {}),
  };
}

const TARGETS: readonly Record<string, OptionValue>[] = [
  {},
  { compat: '0.10' },
  { cluster_size: 512 },
  { cluster_size: '4k' },
  { cluster_size: '2M' },
  { extended_l2: true },
  { preallocation: 'metadata' },
  { preallocation: 'full' },
];

async function compareSource(t: Test, path: string): Promise<void> {
  for (const options of TARGETS) {
    const measured = await driver.measure({ ...sourceOf(path), options });
    t.same(measured, theirs(...written(options), path), JSON.stringify(options));
  }
}

t.test('measures sources as qemu-img does', qemuTest, async (t) => {
  const dir = directory(t);
  const raw = join(dir, 'source.raw');
  qemuImg('create', '-q', '-f', 'raw', raw, '10M');
  qemuImg('resize', '-q', '-f', 'raw', raw, '12M');
  await compareSource(t, raw);
  const path = join(dir, 'source.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '10M');
  qemuIo(path, 'write -P 1 100k 10k', 'write -P 1 5M 1M', 'write -z 8M 1M', 'write 10485248 512');
  await compareSource(t, path);
  qemuImg('bitmap', '--add', '-g', '512', path, 'one');
  await compareSource(t, path);
  qemuImg('bitmap', '--add', '-g', '64k', path, 'another of them');
  qemuImg('bitmap', '--add', '-g', '2M', path, 'x'.repeat(700));
  await compareSource(t, path);
  const backing = ['-o', `backing_file=${path},backing_fmt=qcow2`];
  const measured = await driver.measure({ ...sourceOf(path), options: {}, backed: true });
  t.same(measured, theirs(...backing, path), 'with a backing file everything counts');
});

t.test(
  'with tiny clusters the LUKS header needs refcounts, which qemu-img does not count',
  async (t) => {
    const options = { ...LUKS, cluster_size: 512 };
    const measured = await cryptoDriver.measure({ size: M, options, data: each([]) });
    const storage = await newEncrypted(M, { ...options, preallocation: 'full' });
    t.equal(measured.fullyAllocated, storage.size, 'as long as the file is');
  },
);

t.test('everything is taken to be data when nothing is known', async (t) => {
  const { required, fullyAllocated } = await driver.measure({ size: G, options: {} });
  t.equal(required, fullyAllocated);
  t.equal(fullyAllocated, 1_074_135_040);
});

t.test('what cannot be made cannot be measured', async (t) => {
  await t.rejects(driver.measure({ size: T, options: { cluster_size: 512 } }), {
    code: 'LIMIT_EXCEEDED',
  });
  await t.rejects(driver.measure({ size: M, options: { cluster_size: 500 } }), {
    code: 'INVALID_ARGUMENT',
  });
});
