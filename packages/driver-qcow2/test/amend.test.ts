import { join } from 'node:path';
import { MemoryStorage, type OptionValue, type Storage } from '@lamella/core';
import { CrashStorage } from '@lamella/driver-testkit';
import t, { type Test } from 'tap';
import { content, randomSource } from './support/disks.js';
import {
  PASSPHRASE,
  qemuCheckEncrypted,
  qemuCreate,
  qemuDecrypt,
  qemuIoEncrypted,
} from './support/encrypted.js';
import {
  directory,
  loadFile,
  qemuCheck,
  qemuContent,
  qemuImg,
  qemuIo,
  qemuTest,
  saveFile,
} from './support/qemu.js';
import { verify } from './support/verify.js';
import { openWhole } from './support/whole.js';

const K = 1024;
const M = K * K;

type Options = Record<string, OptionValue>;

async function amend(
  storage: Storage,
  options: Options,
  below: readonly Storage[] = [],
  passphrase?: string,
): Promise<void> {
  const disk = await openWhole([storage, ...below], { writable: true, passphrase });
  try {
    await disk.amend(options);
  } finally {
    await disk.close();
  }
}

interface Recipe {
  readonly name: string;
  readonly options: string;
  readonly backed?: boolean;
  readonly snapshots?: boolean;
  readonly compressed?: boolean;
}

const RECIPES: readonly Recipe[] = [
  { name: 'plain', options: 'cluster_size=64k' },
  { name: 'snapshots', options: 'cluster_size=4k', snapshots: true },
  {
    name: 'snapshots over a backing file',
    options: 'cluster_size=4k',
    snapshots: true,
    backed: true,
  },
  { name: 'compressed clusters', options: 'cluster_size=4k', compressed: true, snapshots: true },
  { name: 'everything, tiny clusters', options: 'cluster_size=512', snapshots: true, backed: true },
];

/** Makes an image of a version by qemu-img. */
function make(dir: string, recipe: Recipe, compat: string): string {
  const path = join(dir, 'a.qcow2');
  const base = join(dir, 'base.raw');
  qemuImg('create', '-q', '-f', 'raw', base, '1M');
  qemuImg('convert', '-O', 'qcow2', base, `${base}.qcow2`);
  qemuIo(`${base}.qcow2`, 'write -P 77 0 1M');
  const backing = recipe.backed === true ? ['-b', `${base}.qcow2`, '-F', 'qcow2'] : [];
  qemuImg(
    'create',
    '-q',
    '-f',
    'qcow2',
    '-o',
    `${recipe.options},compat=${compat}`,
    ...backing,
    path,
    '1M',
  );
  const zero = compat === '1.1';
  const zeroes = (...list: string[]) => (zero ? list : []);
  if (recipe.compressed === true) {
    qemuIo(path, 'write -c -P 9 0 64k', 'write -c -P 10 512k 64k');
  }
  qemuIo(
    path,
    'write -P 1 100k 200k',
    ...zeroes('write -z 128k 16k', 'write -z -u 160k 16k', 'write -z 600k 100k'),
  );
  if (recipe.snapshots === true) {
    qemuImg('snapshot', '-c', 'one', path);
    qemuIo(
      path,
      'write -P 2 120k 20k',
      'write -P 3 900k 50k',
      ...zeroes('write -z 200k 40k', 'write -z -u 240k 8k'),
    );
    qemuImg('snapshot', '-c', 'two', path);
    qemuIo(path, 'write -P 4 150k 4k', ...zeroes('write -z 0 32k', 'write -z 620k 10k'));
  }
  return path;
}

/** The disk, and the disk as of every snapshot, as QEMU reads them. */
function states(path: string, recipe: Recipe): Uint8Array[] {
  const names = recipe.snapshots === true ? ['one', 'two'] : [];
  return [
    qemuContent(path),
    ...names.map((name) => {
      qemuImg('convert', '-l', `snapshot.name=${name}`, '-O', 'raw', path, `${path}.s`);
      const bytes = new Uint8Array(loadFile(`${path}.s`).size);
      loadFile(`${path}.s`).read(bytes, 0);
      return bytes;
    }),
  ];
}

function assertSame(
  t: Test,
  path: string,
  recipe: Recipe,
  expected: readonly Uint8Array[],
  what: string,
): void {
  const check = qemuCheck(path);
  t.equal(check.code, 0, `${what}: ${check.text}`);
  const now = states(path, recipe);
  t.ok(
    expected.every((bytes, index) => Buffer.compare(bytes, now[index] ?? new Uint8Array()) === 0),
    `${what}: same content, snapshots included`,
  );
}

function info(path: string): Record<string, unknown> {
  return JSON.parse(qemuImg('info', '--output=json', path))['format-specific'].data;
}

for (const recipe of RECIPES) {
  t.test(`up and down in place: ${recipe.name}`, qemuTest, async (t) => {
    const dir = directory(t);
    for (const [from, to] of [
      ['0.10', '1.1'],
      ['1.1', '0.10'],
    ] as const) {
      const path = make(dir, recipe, from);
      const expected = states(path, recipe);
      const below = recipe.backed === true ? [loadFile(join(dir, 'base.raw.qcow2'))] : [];
      const storage = loadFile(path);
      await amend(storage, { compat: to }, below);
      await saveFile(storage, path);
      t.equal(info(path).compat, to);
      assertSame(t, path, recipe, expected, `${from} to ${to}`);
      await amend(storage, { compat: from }, below);
      await saveFile(storage, path);
      t.equal(info(path).compat, from);
      assertSame(t, path, recipe, expected, 'and back');
      if (recipe.snapshots === true) {
        qemuImg('snapshot', '-a', 'one', path);
        t.ok(
          Buffer.compare(qemuContent(path), expected[1] ?? new Uint8Array()) === 0,
          'QEMU goes back to a snapshot',
        );
        t.equal(qemuCheck(path).code, 0);
      }
    }
  });

  t.test(`refcounts of every width: ${recipe.name}`, qemuTest, async (t) => {
    const dir = directory(t);
    const path = make(dir, recipe, '1.1');
    const expected = states(path, recipe);
    const below = recipe.backed === true ? [loadFile(join(dir, 'base.raw.qcow2'))] : [];
    const storage = loadFile(path);
    // Packed compressed clusters share host clusters: too many references for 4 bits.
    for (const bits of recipe.compressed === true ? [64, 8, 32, 16] : [64, 8, 4, 32, 16]) {
      await amend(storage, { refcount_bits: bits }, below);
      t.same(await verify(storage), { corruptions: [], leaks: 0 });
      await saveFile(storage, path);
      t.equal(info(path)['refcount-bits'], bits);
      assertSame(t, path, recipe, expected, `${bits} bits`);
      const disk = await openWhole([storage, ...below], { writable: true });
      await disk.write(new Uint8Array(4096).fill(bits), 700 * K);
      await disk.close();
      for (const [index, bytes] of expected.entries()) {
        if (index === 0) {
          bytes.fill(bits, 700 * K, 700 * K + 4096);
        }
      }
    }
    if (recipe.snapshots === true) {
      const before = new Uint8Array(storage.size);
      storage.read(before, 0);
      await t.rejects(amend(storage, { refcount_bits: 1 }, below), {
        code: 'UNSUPPORTED',
        message: /does not fit into 1 bits/,
      });
      const after = new Uint8Array(storage.size);
      storage.read(after, 0);
      t.ok(Buffer.compare(before, after) === 0, 'nothing was changed');
    }
  });
}

t.test('encrypted images go up and down', qemuTest, async (t) => {
  const dir = directory(t);
  const path = join(dir, 'e.qcow2');
  for (const options of [
    'encrypt.format=luks,encrypt.iter-time=10,cluster_size=4k',
    'encrypt.format=aes',
  ]) {
    qemuCreate(path, '1M', options);
    qemuIoEncrypted(
      path,
      PASSPHRASE,
      'write -P 5 0 300k',
      'write -z 64k 64k',
      'write -z -u 192k 64k',
      'write -z 700k 64k',
    );
    const storage = loadFile(path);
    const before = await openWhole([storage], { passphrase: PASSPHRASE });
    const expected = await content(before);
    await before.close();
    for (const compat of ['0.10', '1.1']) {
      await amend(storage, { compat }, [], PASSPHRASE);
      await saveFile(storage, path);
      t.equal(qemuCheckEncrypted(path, PASSPHRASE), 0);
      qemuDecrypt(path, PASSPHRASE, `${path}.raw`);
      const raw = new Uint8Array(M);
      loadFile(`${path}.raw`).read(raw, 0);
      t.ok(Buffer.compare(raw, expected) === 0, `${options}: ${compat}`);
    }
  }
});

t.test('an encrypted overlay hides its backing file with ciphered zeroes', qemuTest, async (t) => {
  const dir = directory(t);
  const [base, path] = [join(dir, 'base.qcow2'), join(dir, 'a.qcow2')];
  qemuCreate(base, '1M', 'encrypt.format=luks,encrypt.iter-time=10');
  qemuIoEncrypted(base, PASSPHRASE, 'write -P 7 0 1M');
  const top = new MemoryStorage();
  const { wholeDriver } = await import('./support/whole.js');
  await wholeDriver.create(top, {
    size: M,
    options: { 'encrypt.format': 'luks', 'encrypt.iter-time': 1, cluster_size: 4096 },
    passphrase: PASSPHRASE,
    backing: { location: base, format: 'qcow2' },
  });
  const below = loadFile(base);
  let disk = await openWhole([top, below], { writable: true, passphrase: PASSPHRASE });
  await disk.writeZeroes(100 * K, 300 * K);
  const expected = await content(disk);
  await disk.close();
  await amend(top, { compat: '0.10' }, [below], PASSPHRASE);
  disk = await openWhole([top, below], { passphrase: PASSPHRASE });
  t.same(disk.layers[0]?.options.compat, '0.10');
  t.ok(Buffer.compare(await content(disk), expected) === 0);
  await disk.close();
  t.same(
    (await verify(top)).corruptions.filter((text) => !text.includes('references 0')),
    [],
  );
  await saveFile(top, path);
});

t.test('header options: lazy refcounts, names, size', qemuTest, async (t) => {
  const dir = directory(t);
  const path = join(dir, 'a.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '1M');
  qemuIo(path, 'write -P 3 0 1M');
  const storage = loadFile(path);
  await amend(storage, { lazy_refcounts: 'on' });
  await saveFile(storage, path);
  t.equal(info(path)['lazy-refcounts'], true);
  await amend(storage, { compat: '0.10' });
  await saveFile(storage, path);
  t.equal(info(path).compat, '0.10', 'the flag goes with the version');
  await t.rejects(amend(storage, { lazy_refcounts: true }), { code: 'UNSUPPORTED' });
  await amend(storage, { compat: 'v3', lazy_refcounts: true, refcount_bits: 32, size: '3M' });
  await saveFile(storage, path);
  t.match(info(path), { compat: '1.1', 'lazy-refcounts': true, 'refcount-bits': 32 });
  qemuIo(path, 'read -P 3 0 1M', 'read -P 0 1M 2M');
  await amend(storage, { compat: 'v2', refcount_bits: 16, size: 512 * K });
  await saveFile(storage, path);
  t.match(info(path), { compat: '0.10' });
  t.equal(qemuCheck(path).code, 0);
  await amend(storage, { backing_file: 'other.raw', backing_fmt: 'raw' });
  await saveFile(storage, path);
  t.match(qemuImg('info', '-U', path), /backing file: other.raw[\s\S]*backing file format: raw/);
  await amend(storage, { backing_file: '' });
  await amend(storage, { data_file_raw: 'off' });
  await saveFile(storage, path);
  t.notMatch(qemuImg('info', path), /backing file/);
});

t.test('refusals, with the reason, before anything is changed', qemuTest, async (t) => {
  const dir = directory(t);
  const path = join(dir, 'a.qcow2');
  const refused: readonly (readonly [string, Options, RegExp])[] = [
    ['', { cluster_size: '4k' }, /settled when an image is made/],
    ['', { extended_l2: true }, /settled/],
    ['', { preallocation: 'full' }, /settled/],
    ['', { compression_type: 'zstd' }, /settled/],
    ['', { 'encrypt.format': 'luks' }, /settled/],
    ['', { data_file: 'x' }, /external data file/],
    ['', { data_file_raw: true }, /can't be turned on/],
    ['', { refcount_bits: 3 }, /refcounts cannot have 3 bits/],
    ['', { backing_fmt: 'raw' }, /no backing file to have a format/],
    ['', { size: 1000 }, /multiple of 512/],
    ['', { compat: '0.11' }, /cannot be '0.11'/],
    ['', { 'encrypt.state': 'active', 'encrypt.new-secret': 'x' }, /not encrypted/],
    ['refcount_bits=8', { compat: '0.10' }, /16 bits only/],
    ['extended_l2=on', { compat: '0.10' }, /no extended L2/],
    ['compression_type=zstd', { compat: '0.10' }, /no compression by zstd/],
    ['', { compat: '0.10', lazy_refcounts: true }, /no lazy refcounts/],
    ['', { compat: '0.10', refcount_bits: 32 }, /16 bits only/],
    ['compat=0.10', { refcount_bits: 32 }, /16 bits only/],
  ];
  for (const [made, options, reason] of refused) {
    qemuImg('create', '-q', '-f', 'qcow2', ...(made === '' ? [] : ['-o', made]), path, '1M');
    const storage = loadFile(path);
    await t.rejects(amend(storage, options), { message: reason }, JSON.stringify(options));
    const bytes = new Uint8Array(storage.size);
    storage.read(bytes, 0);
    t.ok(Buffer.compare(bytes, Buffer.from(await fileBytes(path))) === 0, 'nothing was written');
  }
  qemuImg('create', '-q', '-f', 'qcow2', path, '1M');
  qemuImg('snapshot', '-c', 'one', path);
  qemuImg('resize', '-q', path, '2M');
  await t.rejects(amend(loadFile(path), { compat: '0.10' }), {
    code: 'UNSUPPORTED',
    message: /size of their own/,
  });
});

async function fileBytes(path: string): Promise<Uint8Array> {
  const storage = loadFile(path);
  const bytes = new Uint8Array(storage.size);
  storage.read(bytes, 0);
  return bytes;
}

t.test('a snapshot table without sizes gets them', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'compat=0.10', path, '1M');
  qemuIo(path, 'write -P 1 0 1M');
  qemuImg('snapshot', '-c', 'old', path);
  const expected = qemuContent(path);
  qemuIo(path, 'write -P 2 0 1M');
  const storage = loadFile(path);
  // As programs before version 3 wrote it: no extra data.
  const pointer = new Uint8Array(8);
  storage.read(pointer, 64);
  const table = Number(new DataView(pointer.buffer).getBigUint64(0));
  const entry = new Uint8Array(128);
  storage.read(entry, table);
  const extra = new DataView(entry.buffer).getUint32(36);
  const moved = new Uint8Array(128);
  moved.set(entry.subarray(0, 40));
  new DataView(moved.buffer).setUint32(36, 0);
  moved.set(entry.subarray(40 + extra, 128), 40);
  storage.write(moved, table);
  await amend(storage, { compat: '1.1' });
  await saveFile(storage, path);
  const check = qemuCheck(path);
  t.equal(check.code, 0, check.text);
  qemuImg('snapshot', '-a', 'old', path);
  t.ok(Buffer.compare(qemuContent(path), expected) === 0);
});

const STEPS: readonly (readonly [string, string, Options])[] = [
  ['upgrade', '0.10', { compat: '1.1' }],
  ['downgrade', '1.1', { compat: '0.10' }],
  ['wider refcounts', '1.1', { refcount_bits: 64 }],
  ['narrower refcounts', '1.1', { refcount_bits: 4 }],
];

for (const [name, compat, options] of STEPS) {
  t.test(`a crash leaves the same content: ${name}`, qemuTest, async (t) => {
    const dir = directory(t);
    const recipe = RECIPES[4] ?? { name: '', options: '' };
    const path = make(dir, recipe, compat);
    const base = loadFile(join(dir, 'base.raw.qcow2'));
    const [expected] = states(path, recipe);
    const inner = loadFile(path);
    const storage = await CrashStorage.over(inner);
    await amend(storage, options, [base]);
    t.same(await verify(inner), { corruptions: [], leaks: 0 });
    const random = randomSource(9);
    const failures: string[] = [];
    for (const moment of storage.boundaries) {
      for (const chance of [0, 0.5, 1]) {
        const state = storage.stateAt(moment, () => random() < chance);
        const { corruptions } = await verify(state);
        failures.push(...corruptions.map((text) => `at ${moment}: ${text}`));
        const disk = await openWhole([state, base]);
        if (Buffer.compare(await content(disk), expected ?? new Uint8Array()) !== 0) {
          failures.push(`at ${moment}: other content`);
        }
        await disk.close();
      }
    }
    t.same(failures.slice(0, 10), [], `${storage.boundaries.length * 3} crash states`);
  });
}

t.test('amending tells how far it is and can be ended', qemuTest, async (t) => {
  const dir = directory(t);
  const recipe = RECIPES[2] ?? { name: '', options: '' };
  const path = make(dir, recipe, '1.1');
  const expected = states(path, recipe);
  const below = loadFile(join(dir, 'base.raw.qcow2'));
  for (const options of [{ compat: '0.10' }, { refcount_bits: 32 }] satisfies Options[]) {
    const storage = loadFile(path);
    const disk = await openWhole([storage, below], { writable: true });
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    await t.rejects(disk.amend(options, { signal: controller.signal, onProgress }), {
      code: 'ABORTED',
    });
    await disk.close();
    await saveFile(storage, `${path}.aborted`);
    assertSame(t, `${path}.aborted`, recipe, expected, 'aborted');
  }
});
