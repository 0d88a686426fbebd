import { statSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryStorage, type OptionValue, type Preallocation, type Reference } from '@lamella/core';
import { FileStorageDriver } from '@lamella/platform-node';
import t from 'tap';
import { content, driver, filled, newImage, openDisk } from './support/disks.js';
import {
  cryptoDriver,
  newEncrypted,
  openEncrypted,
  PASSPHRASE,
  qemuCheckEncrypted,
  qemuDecrypt,
} from './support/encrypted.js';
import {
  directory,
  loadFile,
  qemuCheck,
  qemuImg,
  qemuIo,
  qemuTest,
  saveFile,
} from './support/qemu.js';

const K = 1024;
const M = K * K;
const files = new FileStorageDriver();

async function createFile(
  path: string,
  size: number,
  options: Record<string, OptionValue>,
  backing?: Reference,
): Promise<void> {
  const storage = await files.create(path, { overwrite: true });
  await driver.create(storage, { size, options, backing });
  await storage.close();
}

/** What qemu-img map says is there, without where: QEMU puts tables elsewhere, and zeroes depend on timing. */
function mapOf(path: string): unknown {
  const map: { start: number; length: number; present: boolean; data: boolean }[] = JSON.parse(
    qemuImg('map', '--output=json', path),
  );
  const runs: { length: number; present: boolean; data: boolean }[] = [];
  for (const { length, present, data } of map) {
    const last = runs.at(-1);
    if (last !== undefined && last.present === present && last.data === data) {
      last.length += length;
    } else {
      runs.push({ length, present, data });
    }
  }
  return runs;
}

const OPTIONS: readonly Record<string, OptionValue>[] = [
  {},
  { compat: '0.10' },
  { cluster_size: 512 },
  { cluster_size: '4k', refcount_bits: 1 },
  { cluster_size: '2M' },
  { extended_l2: true },
  { extended_l2: true, cluster_size: '16k', refcount_bits: 64 },
];

for (const options of OPTIONS) {
  t.test(`preallocated as by qemu-img: ${JSON.stringify(options)}`, qemuTest, async (t) => {
    const dir = directory(t);
    const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
    for (const preallocation of ['metadata', 'falloc', 'full']) {
      const all: Record<string, OptionValue> = { ...options, preallocation };
      const size = options.cluster_size === 512 ? M + 512 : 6 * M;
      await createFile(ours, size, all);
      const list = Object.entries(all).map(
        ([name, value]) => `${name}=${typeof value === 'boolean' ? 'on' : value}`,
      );
      qemuImg('create', '-q', '-f', 'qcow2', '-o', list.join(','), theirs, String(size));
      const check = qemuCheck(ours);
      t.equal(check.code, 0, check.text);
      t.equal(statSync(ours).size, statSync(theirs).size, `${preallocation}: same length`);
      const [mine, other] = [statSync(ours).blocks, statSync(theirs).blocks];
      t.ok(mine <= other + 256, `${preallocation}: ${mine} blocks, as ${other}`);
      t.same(mapOf(ours), mapOf(theirs), `${preallocation}: same map`);
      t.match(qemuCheck(ours).text, /= 100.00% allocated, 0.00% fragmented/);
      const report = await driver.open(loadFile(ours), { writable: false, forCheck: true });
      t.match(await report.check?.({}), { corruptions: 0, leaks: 0, checkErrors: 0 });
      qemuIo(ours, 'read -P 0 0 1M', 'write -P 3 100k 100k', 'read -P 3 100k 100k');
      t.equal(statSync(ours).size, statSync(theirs).size, 'a write allocates nothing');
    }
  });
}

t.test('writes go where space was preallocated', async (t) => {
  for (const options of [{}, { compat: '0.10' }, { extended_l2: true }]) {
    const storage = await newImage(4 * M, { ...options, preallocation: 'metadata' });
    const { size } = storage;
    const disk = await openDisk([storage], { writable: true });
    t.ok(Buffer.compare(await content(disk), new Uint8Array(4 * M)) === 0);
    const expected = new Uint8Array(4 * M);
    for (const [at, length, value] of [
      [100, 3000, 1],
      [M - 5, 200 * K, 2],
      [4 * M - 1, 1, 3],
    ] as const) {
      await disk.write(filled(length, value), at);
      expected.fill(value, at, at + length);
    }
    t.ok(Buffer.compare(await content(disk), expected) === 0);
    await disk.close();
    t.equal(storage.size, size, 'the file did not grow');
  }
});

for (const preallocation of ['metadata', 'falloc', 'full']) {
  t.test(`encrypted and preallocated: ${preallocation}`, qemuTest, async (t) => {
    const dir = directory(t);
    for (const options of [
      { 'encrypt.format': 'luks', 'encrypt.iter-time': 1 },
      { 'encrypt.format': 'luks', 'encrypt.iter-time': 1, extended_l2: true },
      { 'encrypt.format': 'aes' },
    ]) {
      const storage = await newEncrypted(M, { ...options, preallocation });
      const path = join(dir, 'a.qcow2');
      await saveFile(storage, path);
      if (options['encrypt.format'] === 'luks') {
        t.equal(qemuCheckEncrypted(path, PASSPHRASE), 0);
        const { fullyAllocated } = await cryptoDriver.measure({ size: M, options });
        t.equal(storage.size, fullyAllocated, 'as long as measured');
        qemuDecrypt(path, PASSPHRASE, `${path}.raw`);
        const raw = loadFile(`${path}.raw`);
        const seen = new Uint8Array(M);
        raw.read(seen, 0);
        t.ok(Buffer.compare(seen, new Uint8Array(M)) === 0, 'QEMU reads zeroes, not noise');
      }
      const disk = await openEncrypted(storage, { writable: true });
      t.ok(Buffer.compare(await content(disk), new Uint8Array(M)) === 0, 'zeroes, not noise');
      await disk.write(filled(5000, 7), 70_000);
      const seen = new Uint8Array(6000);
      await disk.read(seen, 69_500);
      t.same(
        seen,
        Uint8Array.from({ length: 6000 }, (_, i) => (i >= 500 && i < 5500 ? 7 : 0)),
      );
      await disk.close();
    }
  });
}

t.test('a backing file shows through extended entries only', qemuTest, async (t) => {
  const dir = directory(t);
  const base = join(dir, 'base.raw');
  qemuImg('create', '-q', '-f', 'raw', base, '1M');
  qemuImg('convert', '-f', 'raw', '-O', 'qcow2', base, join(dir, 'base.qcow2'));
  qemuIo(join(dir, 'base.qcow2'), 'write -P 9 0 1M');
  const backing = { location: join(dir, 'base.qcow2'), format: 'qcow2' };
  for (const preallocation of ['metadata', 'falloc', 'full'] satisfies Preallocation[]) {
    const path = join(dir, 'top.qcow2');
    await createFile(path, 2 * M, { preallocation, extended_l2: true }, backing);
    t.equal(qemuCheck(path).code, 0);
    qemuIo(path, 'read -P 9 0 1M', 'read -P 0 1M 1M', 'write -P 3 0 2k', 'read -P 9 2k 2k');
    t.throws(
      () => driver.validateCreate({ size: M, options: { preallocation }, backing }),
      { code: 'INVALID_ARGUMENT' },
      'refused as by qemu-img',
    );
  }
});

t.test('a large disk takes little memory and sparse space', async (t) => {
  const path = join(directory(t), 'large.qcow2');
  await createFile(path, 64 * K * M, { preallocation: 'metadata' });
  t.ok(statSync(path).size > 64 * K * M);
  t.ok(statSync(path).blocks * 512 < 16 * M, 'metadata only');
  const disk = await openDisk([await files.open(path, { writable: true })], { writable: true });
  await disk.write(filled(100, 1), 63 * K * M);
  await disk.close();
});

t.test('no space: create fails with its error', async (t) => {
  for (const preallocation of ['metadata', 'full']) {
    const storage = new MemoryStorage({ maxBytes: 4 * 65536 });
    await t.rejects(
      driver.create(storage, { size: 100 * M, options: { preallocation, cluster_size: 4096 } }),
      { code: 'NO_SPACE' },
    );
    const magic = new Uint8Array(4);
    storage.read(magic, 0);
    t.same(magic, new Uint8Array(4), 'what is not whole is no image');
  }
});

t.test('what cannot be is refused before anything is written', (t) => {
  t.throws(() => driver.validateCreate({ size: M, options: { preallocation: 'some' } }), {
    code: 'INVALID_ARGUMENT',
  });
  t.throws(
    () =>
      cryptoDriver.validateCreate({
        size: 2 ** 53 - 512,
        options: { preallocation: 'metadata', cluster_size: '2M' },
      }),
    { code: 'LIMIT_EXCEEDED' },
  );
  t.end();
});
