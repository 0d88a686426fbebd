import { join } from 'node:path';
import {
  type Disk,
  MemoryStorage,
  type OptionValue,
  type Preallocation,
  type Storage,
} from '@lamella/core';
import { CrashStorage, InterceptedStorage, type StorageCall } from '@lamella/driver-testkit';
import t, { type Test } from 'tap';
import { content, filled, newImage, openDisk, randomSource } from './support/disks.js';
import { newEncrypted, PASSPHRASE } from './support/encrypted.js';
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
const MODES = ['off', 'metadata', 'falloc', 'full'] as const satisfies readonly Preallocation[];

/** What qemu-img says when it refuses. */
function qemuRefusal(...args: string[]): string {
  try {
    qemuImg(...args);
    return '';
  } catch (error) {
    return String(error);
  }
}

for (const mode of MODES) {
  t.test(`grows as qemu-img resize does: ${mode}`, qemuTest, async (t) => {
    const dir = directory(t);
    for (const options of ['cluster_size=64k', 'cluster_size=4k,compat=0.10', 'extended_l2=on']) {
      const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
      qemuImg('create', '-q', '-f', 'qcow2', '-o', options, theirs, '1M');
      qemuIo(theirs, 'write -P 7 0 1M');
      const storage = loadFile(theirs);
      qemuImg('resize', '-q', `--preallocation=${mode}`, theirs, '5M');
      const disk = await openWhole([storage], { writable: true });
      await disk.resize(5 * M, { preallocation: mode });
      t.equal(disk.size, 5 * M);
      await disk.close();
      await saveFile(storage, ours);
      t.equal(qemuCheck(ours).code, 0, qemuCheck(ours).text);
      t.equal(
        qemuCheck(ours).text.match(/\d+\/\d+ =/)?.[0],
        qemuCheck(theirs).text.match(/\d+\/\d+ =/)?.[0],
        'as many clusters allocated',
      );
      qemuImg('compare', ours, theirs);
      const length = loadFile(theirs).size;
      t.ok(
        Math.abs(storage.size - length) <= 2 * 65536,
        `${options}: ${storage.size}, as ${length}`,
      );
    }
  });
}

t.test(
  'shrinks as qemu-img resize does, and QEMU finds zeroes behind when it grows again',
  qemuTest,
  async (t) => {
    const dir = directory(t);
    for (const options of [
      'cluster_size=64k',
      'cluster_size=512',
      'compat=0.10',
      'extended_l2=on',
    ]) {
      const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
      qemuImg('create', '-q', '-f', 'qcow2', '-o', options, theirs, '4M');
      qemuIo(theirs, 'write -P 5 0 4M');
      const storage = loadFile(theirs);
      qemuImg('resize', '-q', '--shrink', theirs, '1000448');
      const disk = await openWhole([storage], { writable: true });
      await disk.resize(1000448);
      await disk.close();
      await saveFile(storage, ours);
      t.equal(qemuCheck(ours).code, 0, qemuCheck(ours).text);
      qemuImg('compare', ours, theirs);
      t.ok(storage.size <= loadFile(theirs).size, `${storage.size} bytes, ${options}`);
      qemuImg('resize', '-q', ours, '4M');
      const seen = qemuContent(ours);
      t.ok(
        seen.subarray(1000448).every((byte) => byte === 0),
        'zeroes',
      );
      t.ok(
        seen.subarray(0, 1000448).every((byte) => byte === 5),
        'data',
      );
    }
  },
);

t.test('refusals are those of qemu-img', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  const attempt = async (storage: Storage, size: number, preallocation: Preallocation = 'off') => {
    const disk = await openWhole([storage], { writable: true });
    try {
      await disk.resize(size, { preallocation });
    } finally {
      await disk.close();
    }
  };
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'compat=0.10,cluster_size=512', path, '1M');
  t.match(qemuRefusal('resize', '--shrink', path, '1000'), /multiple of 512/);
  await t.rejects(attempt(loadFile(path), 1000), {
    code: 'INVALID_ARGUMENT',
    message: /multiple of 512/,
  });
  t.match(
    qemuRefusal('resize', '--shrink', '--preallocation=full', path, '512k'),
    /only be used for growing/,
  );
  await t.rejects(attempt(loadFile(path), 512 * K, 'full'), {
    code: 'INVALID_ARGUMENT',
    message: /when an image grows/,
  });
  t.match(qemuRefusal('resize', path, '1T'), /Failed to grow the L1 table/);
  await t.rejects(attempt(loadFile(path), 2 ** 40), { code: 'LIMIT_EXCEEDED' });
  qemuImg('snapshot', '-c', 'one', path);
  for (const size of [512 * K, 2 * M]) {
    t.match(qemuRefusal('resize', '--shrink', path, String(size)), /v2 image which has snapshots/);
    const storage = loadFile(path);
    const before = await bytesOf(storage);
    await t.rejects(attempt(storage, size), {
      code: 'UNSUPPORTED',
      message: /version 2 image with snapshots/,
    });
    t.ok(Buffer.compare(await bytesOf(storage), before) === 0, 'nothing was written');
  }
  const encrypted = await newEncrypted(M, { 'encrypt.format': 'aes', compat: '0.10' });
  const disk = await openWhole([encrypted], { writable: true, passphrase: PASSPHRASE });
  await t.rejects(disk.resize(2 * M, { preallocation: 'metadata' }), { code: 'UNSUPPORTED' });
  await disk.close();
});

async function bytesOf(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.size);
  await storage.read(bytes, 0);
  return bytes;
}

t.test('a long L1 table and a refcount table that has to grow for it', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  for (const options of [
    { cluster_size: 512 },
    { cluster_size: 512, refcount_bits: 64 },
    { cluster_size: 1024, compat: '0.10' },
  ]) {
    const storage = await newImage(M, options);
    let disk = await openDisk([storage], { writable: true });
    await disk.write(filled(M, 3), 0);
    await disk.resize(2 * K * M);
    await disk.write(filled(5000, 4), K * M);
    await disk.resize(4 * K * M);
    await disk.close();
    await saveFile(storage, path);
    const check = qemuCheck(path);
    t.equal(check.code, 0, `${JSON.stringify(options)}: ${check.text}`);
    qemuIo(path, 'read -P 3 0 1M', 'read -P 0 1M 1M', 'read -P 4 1G 5000', 'read -P 0 3G 1M');
    disk = await openDisk([storage], { writable: true });
    await disk.resize(2 * M);
    t.ok(Buffer.compare((await content(disk)).subarray(0, M), filled(M, 3)) === 0);
    await disk.close();
    await saveFile(storage, path);
    t.equal(qemuCheck(path).code, 0);
  }
});

t.test('an empty disk grows, and shrinks to nothing', async (t) => {
  const storage = await newImage(0, {});
  const disk = await openDisk([storage], { writable: true });
  await disk.resize(M);
  await disk.write(filled(M, 9), 0);
  await disk.resize(0);
  await disk.resize(M);
  t.ok(Buffer.compare(await content(disk), new Uint8Array(M)) === 0);
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

for (const preallocation of ['metadata', 'falloc', 'full'] as const) {
  t.test(`space is taken within the last cluster, too: ${preallocation}`, async (t) => {
    for (const written of [false, true]) {
      const storage = await newImage(M, { cluster_size: 2 * M });
      const disk = await openDisk([storage], { writable: true });
      if (written) {
        await disk.write(filled(M, 7), 0);
      }
      await disk.resize(3 * M, { preallocation });
      const space = [];
      for await (const { kind, hostOffset, length } of disk.extents({ offset: M, length: M })) {
        const held = hostOffset === undefined ? undefined : storage.map(hostOffset, length);
        space.push([kind, length, held]);
      }
      t.same(space, [['data', M, { kind: 'data', length: M }]]);
      const expected = new Uint8Array(3 * M).fill(written ? 7 : 0, 0, M);
      t.ok(Buffer.compare(await content(disk), expected) === 0);
      await disk.close();
      t.same(await verify(storage), { corruptions: [], leaks: 0 });
    }
  });
}

t.test('a long growth tells how far it is and can be ended', async (t) => {
  const storage = await newImage(M, { cluster_size: 4096 });
  const disk = await openDisk([storage], { writable: true });
  await disk.write(filled(M, 1), 0);
  const controller = new AbortController();
  let calls = 0;
  const growing = disk.resize(64 * M, {
    preallocation: 'metadata',
    signal: controller.signal,
    onProgress: ({ done, total }) => {
      calls += 1;
      t.ok(done <= total && total === 63 * M);
      if (calls === 3) {
        controller.abort();
      }
    },
  });
  await t.rejects(growing, { code: 'ABORTED' });
  t.equal(disk.size, M);
  t.ok(Buffer.compare(await content(disk), filled(M, 1)) === 0);
  await disk.write(filled(100, 2), 5);
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 }, 'what was begun is cleaned up');
});

/** A disk in which space ends at a moment. */
class FullStorage extends InterceptedStorage {
  left = Number.POSITIVE_INFINITY;

  protected override intercept<T>(call: StorageCall, proceed: () => T): T {
    const grows = ['write', 'writev', 'writeZeroes', 'truncate'].includes(call.method);
    if (grows) {
      this.left -= 1;
      if (this.left < 0) {
        throw noSpace();
      }
    }
    return proceed();
  }
}

const noSpace = () => {
  const error = new MemoryStorage({ maxBytes: 0 });
  try {
    error.write(new Uint8Array(1), 0);
  } catch (thrown) {
    return thrown;
  }
  return undefined;
};

interface Change {
  readonly name: string;
  readonly options: Record<string, OptionValue>;
  readonly backed?: boolean;
  readonly to: number;
  readonly preallocation?: Preallocation;
}

const CHANGES: readonly Change[] = [
  { name: 'grow with a longer L1 table', options: { cluster_size: 512 }, to: 9 * M },
  {
    name: 'grow, preallocating',
    options: { cluster_size: 4096 },
    to: 3 * M,
    preallocation: 'metadata',
  },
  { name: 'grow over a backing file', options: { cluster_size: 4096 }, backed: true, to: 3 * M },
  {
    name: 'grow over a backing file, version 2',
    options: { cluster_size: 4096, compat: '0.10' },
    backed: true,
    to: 2 * M,
  },
  {
    name: 'grow, extended',
    options: { cluster_size: 16384, extended_l2: true },
    backed: true,
    to: 2 * M,
  },
  { name: 'shrink', options: { cluster_size: 512 }, to: 200 * K + 512 },
  { name: 'shrink, in a cluster', options: { cluster_size: 65536 }, to: 300 * K + 512 },
];

const OLD = M - 1024;

/** An image with data, and what it is to hold. */
async function prepared({ options, backed }: Change) {
  const base = backed === true ? await newImage(4 * M, {}) : undefined;
  if (base !== undefined) {
    const disk = await openDisk([base], { writable: true });
    await disk.write(filled(4 * M, 99), 0);
    await disk.close();
  }
  const storage = await newImage(OLD, options, base && { location: 'base', format: 'qcow2' });
  const disk = await openOver(storage, base, true);
  await disk.write(filled(300 * K, 1), 0);
  await disk.write(filled(100 * K, 2), OLD - 100 * K);
  const expected = await content(disk);
  await disk.close();
  return { base, storage, expected };
}

function openOver(storage: Storage, base: Storage | undefined, writable: boolean): Promise<Disk> {
  return openDisk(base === undefined ? [storage] : [storage, base], { writable });
}

/** The disk is as before, or as it was to become. */
async function assertOldOrNew(disk: Disk, expected: Uint8Array, to: number): Promise<string[]> {
  if (disk.size !== OLD && disk.size !== to) {
    return [`the disk has ${disk.size} bytes`];
  }
  const seen = await content(disk);
  const wanted = new Uint8Array(disk.size);
  wanted.set(expected.subarray(0, disk.size));
  const at = seen.findIndex((byte, index) => byte !== wanted[index]);
  return at < 0 ? [] : [`byte ${at} of ${disk.size} is ${seen[at]}, not ${wanted[at]}`];
}

async function assertSurvivesCrash(t: Test, change: Change): Promise<void> {
  const { base, storage: inner, expected } = await prepared(change);
  const storage = await CrashStorage.over(inner);
  const disk = await openOver(storage, base, true);
  await disk.resize(change.to, { preallocation: change.preallocation });
  await disk.close();
  t.same(await verify(inner), { corruptions: [], leaks: 0 }, 'clean at the end');
  const random = randomSource(5);
  const failures: string[] = [];
  for (const moment of storage.boundaries) {
    for (const chance of [0, 0.5, 0.8, 1]) {
      const state = storage.stateAt(moment, () => random() < chance);
      const { corruptions } = await verify(state);
      failures.push(...corruptions.map((text) => `at ${moment}: ${text}`));
      const after = await openOver(state, base, false);
      failures.push(
        ...(await assertOldOrNew(after, expected, change.to)).map(
          (text) => `at ${moment}: ${text}`,
        ),
      );
    }
  }
  t.same(failures.slice(0, 10), [], `${storage.boundaries.length * 4} crash states`);
}

for (const change of CHANGES) {
  t.test(`a crash leaves the old disk or the new one: ${change.name}`, (t) =>
    assertSurvivesCrash(t, change),
  );

  t.test(`no space at any moment leaves a consistent image: ${change.name}`, async (t) => {
    const failures: string[] = [];
    let attempts = 0;
    for (let left = 0; ; left += left < 30 ? 1 : 7) {
      const { base, storage: inner, expected } = await prepared(change);
      const storage = new FullStorage(inner);
      const disk = await openOver(storage, base, true);
      storage.left = left;
      let done = false;
      try {
        await disk.resize(change.to, { preallocation: change.preallocation });
        done = true;
      } catch (error) {
        if (!String(error).includes('NO_SPACE') && !String(error).includes('limit')) {
          failures.push(`after ${left}: ${error}`);
        }
      }
      storage.left = Number.POSITIVE_INFINITY;
      failures.push(
        ...(await assertOldOrNew(disk, expected, change.to)).map(
          (text) => `after ${left}: ${text}`,
        ),
      );
      await disk.write(filled(10, 1), 0);
      await disk.close();
      const { corruptions } = await verify(inner);
      failures.push(...corruptions.map((text) => `after ${left}: ${text}`));
      attempts += 1;
      if (done) {
        break;
      }
    }
    t.same(failures.slice(0, 10), [], `${attempts} attempts`);
  });
}
