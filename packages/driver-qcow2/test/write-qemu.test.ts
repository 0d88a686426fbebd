import { join } from 'node:path';
import { MemoryStorage, type OptionValue } from '@lamella/core';
import t, { type Test } from 'tap';
import { content, filled, newImage, openDisk, randomSource } from './support/disks.js';
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

const K = 1024;
const M = K * K;

interface Plan {
  readonly seed: number;
  readonly operations: number;
  readonly maxLength: number;
  readonly cacheSize?: number;
}

/** Random operations on a disk and on an array that says what must come out. */
async function exercise(storage: MemoryStorage, model: Uint8Array, plan: Plan): Promise<void> {
  const random = randomSource(plan.seed);
  const disk = await openDisk([storage], { writable: true, cacheSize: plan.cacheSize ?? 1 << 20 });
  for (let i = 0; i < plan.operations; i += 1) {
    const offset = Math.floor(random() * model.length);
    const length = Math.min(model.length - offset, 1 + Math.floor(random() * plan.maxLength));
    const choice = random();
    if (choice < 0.6) {
      const value = 1 + Math.floor(random() * 255);
      await disk.write(filled(length, value), offset);
      model.fill(value, offset, offset + length);
    } else if (choice < 0.75) {
      await disk.writeZeroes(offset, length, { unmap: random() < 0.5 });
      model.fill(0, offset, offset + length);
    } else if (choice < 0.9) {
      await disk.writeZeroes(offset, length);
      await disk.discard(offset, length);
      model.fill(0, offset, offset + length);
    } else if (choice < 0.95) {
      await disk.flush();
    } else {
      const seen = new Uint8Array(length);
      await disk.read(seen, offset);
      if (Buffer.compare(seen, model.subarray(offset, offset + length)) !== 0) {
        throw new Error(`wrong content at ${offset}`);
      }
    }
  }
  await disk.close();
}

async function assertClean(
  t: Test,
  storage: MemoryStorage,
  model: Uint8Array,
  dir: string,
): Promise<void> {
  const path = join(dir, 'result.qcow2');
  await saveFile(storage, path);
  const check = qemuCheck(path);
  t.equal(check.code, 0, check.text);
  t.ok(Buffer.compare(qemuContent(path), model) === 0, 'QEMU reads what was written');
  const disk = await openDisk([storage]);
  t.ok(Buffer.compare(await content(disk), model) === 0, 'so do we');
  await disk.close();
}

const NEW: readonly (readonly [Record<string, OptionValue>, number, number])[] = [
  [{ cluster_size: 512 }, 2 * M, 20 * K],
  [{ cluster_size: 512, compat: '0.10' }, 2 * M, 20 * K],
  [{ cluster_size: 512, refcount_bits: 64 }, 4 * M, 60 * K],
  [{ cluster_size: 512, refcount_bits: 1 }, 2 * M, 20 * K],
  [{ cluster_size: '4k' }, 8 * M, 64 * K],
  [{ cluster_size: '4k', compat: '0.10' }, 8 * M, 64 * K],
  [{}, 32 * M, 400 * K],
  [{ compat: '0.10' }, 32 * M, 400 * K],
  [{ cluster_size: '2M' }, 64 * M, 5 * M],
  [{ extended_l2: true }, 32 * M, 400 * K],
  [{ extended_l2: true, cluster_size: '16k' }, 16 * M, 50 * K],
  [{ extended_l2: true, cluster_size: '2M' }, 64 * M, 3 * M],
  ...[1, 2, 4, 8, 32, 64].map(
    (bits) => [{ cluster_size: '4k', refcount_bits: bits }, 4 * M, 64 * K] as const,
  ),
];

for (const [options, size, maxLength] of NEW) {
  t.test(`writes into a new image: ${JSON.stringify(options)}`, qemuTest, async (t) => {
    const model = new Uint8Array(size);
    const storage = await newImage(size, options);
    for (const seed of [1, 2]) {
      await exercise(storage, model, { seed, operations: 120, maxLength });
    }
    await assertClean(t, storage, model, directory(t));
  });
}

t.test('metadata that is larger than the cache is written back on the way', qemuTest, async (t) => {
  const model = new Uint8Array(4 * M);
  const storage = await newImage(model.length, { cluster_size: 512 });
  await exercise(storage, model, { seed: 5, operations: 300, maxLength: 40 * K, cacheSize: 4096 });
  await assertClean(t, storage, model, directory(t));
});

const COMPRESSED = ['cluster_size=64k', 'cluster_size=4k', 'extended_l2=on', 'compat=0.10'];
for (const options of COMPRESSED) {
  t.test(`writes into an image of compressed clusters: ${options}`, qemuTest, async (t) => {
    const dir = directory(t);
    const source = join(dir, 'source.qcow2');
    const path = join(dir, 'compressed.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', source, '8M');
    qemuIo(source, 'write -P 65 0 6M', 'write -P 1 1M 100k');
    qemuImg('convert', '-q', '-c', '-O', 'qcow2', '-o', options, source, path);
    const model = qemuContent(path);
    const storage = loadFile(path);
    await exercise(storage, model, { seed: 3, operations: 150, maxLength: 100 * K });
    await assertClean(t, storage, model, dir);
  });
}

const SNAPSHOTS = [
  'cluster_size=64k',
  'cluster_size=512',
  'compat=0.10',
  'extended_l2=on',
  'extended_l2=on,cluster_size=16k',
];
for (const options of SNAPSHOTS) {
  t.test(`leaves internal snapshots alone: ${options}`, qemuTest, async (t) => {
    const dir = directory(t);
    const path = join(dir, 'snapshots.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', '-o', options, path, '4M');
    qemuIo(path, 'write -P 1 0 2M', 'write -P 2 100k 3k');
    if (!options.includes('0.10')) {
      qemuIo(path, 'write -z 512k 256k', 'write -z 900k 5k');
    }
    const before = qemuContent(path);
    qemuImg('snapshot', '-c', 'one', path);
    qemuIo(path, 'write -P 3 1M 300k');
    qemuImg('snapshot', '-c', 'two', path);
    const model = qemuContent(path);
    const two = model.slice();
    const storage = loadFile(path);
    await exercise(storage, model, { seed: 7, operations: 150, maxLength: 60 * K });
    await assertClean(t, storage, model, dir);
    const result = join(dir, 'result.qcow2');
    for (const [name, expected] of [
      ['two', two],
      ['one', before],
    ] as const) {
      qemuImg('snapshot', '-a', name, result);
      t.ok(Buffer.compare(qemuContent(result), expected) === 0, `snapshot ${name} is unchanged`);
      t.equal(qemuCheck(result).code, 0);
    }
  });
}

t.test('the refcount table grows', qemuTest, async (t) => {
  const model = new Uint8Array(6 * M);
  const storage = await newImage(model.length, { cluster_size: 512, refcount_bits: 64 });
  const disk = await openDisk([storage], { writable: true });
  for (let offset = 0; offset < model.length; offset += 100_000) {
    const length = Math.min(100_000, model.length - offset);
    const value = 1 + (offset % 250);
    await disk.write(filled(length, value), offset);
    model.fill(value, offset, offset + length);
  }
  await disk.close();
  await assertClean(t, storage, model, directory(t));
});

t.test('new images are as qemu-img info expects', qemuTest, async (t) => {
  const dir = directory(t);
  const cases: readonly (readonly [Record<string, OptionValue>, number])[] = [
    [{}, 10 * M],
    [{}, 0],
    [{}, 1],
    [{ compat: 'v2' }, 10 * M],
    [{ cluster_size: 512, refcount_bits: 64 }, 100 * M],
    [{ cluster_size: 512 }, 2 ** 37],
    [{ cluster_size: '2M', extended_l2: 'on', lazy_refcounts: true }, 2 ** 45],
    [{ compression_type: 'zstd', refcount_bits: 1 }, 5 * M],
  ];
  for (const [options, size] of cases) {
    const path = join(dir, 'new.qcow2');
    await saveFile(await newImage(size, options), path);
    const info = JSON.parse(qemuImg('info', '--output=json', path));
    t.match(info, {
      format: 'qcow2',
      'virtual-size': Math.ceil(size / 512) * 512,
      'format-specific': {
        data: {
          compat: options.compat === 'v2' ? '0.10' : '1.1',
          ...(options.compat === 'v2'
            ? {}
            : {
                'lazy-refcounts': options.lazy_refcounts === true,
                'extended-l2': options.extended_l2 === 'on',
                'refcount-bits': options.refcount_bits ?? 16,
              }),
          'compression-type': options.compression_type ?? 'zlib',
        },
      },
    });
    const check = qemuCheck(path);
    t.equal(check.code, 0, check.text);
  }
});

t.test('a new image names its backing file as QEMU reads it', qemuTest, async (t) => {
  const dir = directory(t);
  const base = join(dir, 'base.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', base, '1M');
  for (const options of [{}, { compat: '0.10' }, { cluster_size: 512 }]) {
    const path = join(dir, 'top.qcow2');
    const backing = { location: 'base.qcow2', format: 'qcow2' };
    await saveFile(await newImage(M, options, backing), path);
    const info = JSON.parse(qemuImg('info', '--output=json', path));
    t.match(info, { 'backing-filename': 'base.qcow2', 'backing-filename-format': 'qcow2' });
    t.equal(qemuCheck(path).code, 0);
  }
});

t.test('header of a new image has the bytes that qemu-img writes', qemuTest, async (t) => {
  const path = join(directory(t), 'theirs.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '10M');
  const [ours, theirs] = [await newImage(10 * M), loadFile(path)];
  const [a, b] = [new Uint8Array(4096), new Uint8Array(4096)];
  ours.read(a, 0);
  theirs.read(b, 0);
  t.ok(Buffer.compare(a, b) === 0);
});
