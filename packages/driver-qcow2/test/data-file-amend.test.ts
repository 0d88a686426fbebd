import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { Disk, isLamellaError, MemoryStorage } from '@lamella/core';
import { InterceptedStorage, type StorageCall } from '@lamella/driver-testkit';
import t from 'tap';
import { newPair, openPair } from './support/data-files.js';
import { content, driver, filled, newImage } from './support/disks.js';
import {
  directory,
  loadFile,
  qemuCheck,
  qemuImg,
  qemuIo,
  qemuTest,
  saveFile,
} from './support/qemu.js';
import { verify } from './support/verify.js';
import { openWhole } from './support/whole.js';

const K = 1024;
const M = K * K;

/** What qemu-img says when it refuses. */
function qemuRefusal(...args: string[]): string {
  try {
    qemuImg(...args);
    return '';
  } catch (error) {
    return String(error);
  }
}

function dataFileOf(path: string): unknown {
  const { data } = JSON.parse(qemuImg('info', '--output=json', path))['format-specific'];
  return { file: data['data-file'], raw: data['data-file-raw'] };
}

t.test(
  'the data file gets another name, and is raw no longer, as by qemu-img',
  qemuTest,
  async (t) => {
    const dir = directory(t);
    const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
    const [old, renamed] = [join(dir, 'old.data'), join(dir, 'a longer name for it.data')];
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${old},data_file_raw=on`, ours, '1M');
    qemuIo(ours, 'write -P 5 100k 100k');
    await saveFile(loadFile(ours), theirs);
    const amend = async (options: Record<string, string | boolean>) => {
      const pair = { image: loadFile(ours), data: loadFile(old) };
      const disk = await openPair(pair, { writable: true });
      try {
        await disk.amend(options);
      } finally {
        await disk.close();
        await saveFile(pair.image, ours);
      }
    };
    t.match(qemuRefusal('amend', '-o', 'compat=0.10', theirs), /data file/i);
    await t.rejects(amend({ compat: '0.10' }), { code: 'UNSUPPORTED', message: /data file/ });
    qemuImg('amend', '-o', 'data_file_raw=off', theirs);
    await amend({ data_file_raw: false });
    t.same(dataFileOf(ours), { file: old, raw: false });
    t.same(dataFileOf(ours), dataFileOf(theirs));
    t.match(qemuRefusal('amend', '-o', 'data_file_raw=on', theirs), /cannot be set on existing/);
    await t.rejects(amend({ data_file_raw: true }), { code: 'UNSUPPORTED', message: /turned on/ });
    qemuImg('amend', '-o', `data_file=${renamed}`, theirs);
    await amend({ data_file: renamed });
    renameSync(old, renamed);
    t.same(dataFileOf(ours), dataFileOf(theirs));
    t.equal(qemuCheck(ours).code, 0);
    qemuIo(ours, 'read -P 5 100k 100k', 'read -P 0 200k 824k');
  },
);

t.test('an image with a data file has no snapshots', async (t) => {
  const pair = await newPair(M);
  const disk = await openPair(pair, { writable: true });
  await disk.write(filled(1000, 3), 0);
  const before = await content(disk);
  await t.rejects(async () => disk.snapshots.create({ name: 'a' }), { code: 'UNSUPPORTED' });
  await t.rejects(async () => disk.snapshots.apply('a'), { code: 'UNSUPPORTED' });
  t.same(await content(disk), before);
  await disk.close();
  t.same(await verify(pair.image), { corruptions: [], leaks: 0 });
});

t.test('bitmaps survive resizing and amending, and hold back a downgrade', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '1M');
  qemuImg('bitmap', '--add', '-g', '64k', path, 'b');
  qemuIo(path, 'write -P 4 128k 64k');
  // qemu-img 7.2 downgrades, leaks the bitmaps' clusters and calls them inconsistent from then on.
  const image = loadFile(path);
  const disk = await openWhole([image], { writable: true });
  await t.rejects(disk.amend({ compat: '0.10' }), { code: 'UNSUPPORTED', message: /bitmaps/ });
  await disk.resize(4 * M, { preallocation: 'metadata' });
  await disk.write(filled(10, 1), 3 * M);
  await disk.amend({ refcount_bits: 32, lazy_refcounts: true, size: 3 * M + 64 * K });
  await disk.close();
  await saveFile(image, path);
  t.equal(qemuCheck(path).code, 0, qemuCheck(path).text);
  const { data } = JSON.parse(qemuImg('info', '--output=json', path))['format-specific'];
  t.match(data.bitmaps, [{ name: 'b', granularity: 65536, flags: ['auto'] }]);
  const after = await openWhole([image], { writable: true });
  const ranges: unknown[] = [];
  for await (const range of after.bitmaps.ranges('b')) {
    ranges.push(range);
  }
  t.same(ranges, [
    { offset: 128 * K, length: 64 * K },
    { offset: 3 * M, length: 64 * K },
  ]);
  await after.bitmaps.remove('b');
  await after.amend({ refcount_bits: 16, lazy_refcounts: false });
  await after.amend({ compat: '0.10' });
  await after.close();
  await saveFile(image, path);
  t.equal(qemuCheck(path).code, 0);
});

/** A storage in which space ends after some calls. */
class FullStorage extends InterceptedStorage {
  left = Number.POSITIVE_INFINITY;

  protected override intercept<T>(call: StorageCall, proceed: () => T): T {
    if (['write', 'writev', 'writeZeroes', 'truncate'].includes(call.method)) {
      this.left -= 1;
      if (this.left < 0) {
        new MemoryStorage({ maxBytes: 0 }).write(new Uint8Array(1), 0);
      }
    }
    return proceed();
  }
}

for (const [from, options] of [
  [{ compat: '0.10' }, { compat: '1.1', refcount_bits: 64 }],
  [{ compat: '1.1' }, { compat: '0.10' }],
  [{ compat: '1.1' }, { size: 3 * M, lazy_refcounts: true }],
] as const) {
  t.test(
    `no space at any write of an amend leaves the image whole: ${JSON.stringify(options)}`,
    async (t) => {
      const failures: string[] = [];
      let done = false;
      for (let left = 0; !done; left += 1) {
        const image = await newImage(M, { cluster_size: 4096, ...from });
        const first = await openWhole([image], { writable: true });
        await first.write(filled(200 * K, 7), 50 * K);
        await first.writeZeroes(100 * K, 8 * K);
        const expected = await content(first);
        await first.close();
        const full = new FullStorage(image);
        const disk = await openWhole([full], { writable: true });
        full.left = left;
        try {
          await disk.amend(options);
          done = true;
        } catch (error) {
          if (!isLamellaError(error, 'NO_SPACE')) {
            failures.push(`after ${left}: ${error}`);
          }
        }
        full.left = Number.POSITIVE_INFINITY;
        await disk.close();
        const { corruptions } = await verify(image);
        failures.push(...corruptions.map((text) => `after ${left}: ${text}`));
        const after = await openWhole([image], { writable: false });
        if (Buffer.compare((await content(after)).subarray(0, M), expected) !== 0) {
          failures.push(`after ${left}: other content`);
        }
        await after.close();
      }
      t.same(failures.slice(0, 5), []);
    },
  );
}

t.test('a codec that is missing is not damage', qemuTest, async (t) => {
  const dir = directory(t);
  const [raw, path] = [join(dir, 'a.raw'), join(dir, 'a.qcow2')];
  await saveFile(MemoryStorage.from(filled(M, 6)), raw);
  const zstd = ['-o', 'compression_type=zstd'];
  qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', ...zstd, raw, path);
  const image = loadFile(path);
  for (const writable of [false, true]) {
    const disk = new Disk([
      { format: 'qcow2', storage: image, image: await driver.open(image, { writable }), writable },
    ]);
    const wanted = { code: 'UNSUPPORTED', message: /codec/ };
    await t.rejects(async () => disk.read(new Uint8Array(10), 0), wanted);
    if (writable) {
      await t.rejects(async () => disk.write(filled(10, 1), 0), wanted, 'copy-on-write');
      await disk.flush();
      const bits = new Uint8Array(1);
      image.read(bits, 79);
      t.equal((bits[0] ?? 0) & 2, 0, 'not marked as corrupt');
    }
  }
});
