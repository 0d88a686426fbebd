import { statSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryStorage, type OptionValue, type Preallocation } from '@lamella/core';
import { InterceptedStorage, type StorageCall, storageContent } from '@lamella/driver-testkit';
import { FileStorageDriver } from '@lamella/platform-node';
import t, { type Test } from 'tap';
import {
  boundariesOf,
  newPair,
  openPair,
  type Pair,
  recorded,
  stateAt,
} from './support/data-files.js';
import { content, driver, filled, randomSource } from './support/disks.js';
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

const K = 1024;
const M = K * K;
const MODES = ['off', 'metadata', 'falloc', 'full'] as const satisfies readonly Preallocation[];
/** Ends within a cluster. */
const OLD = M - 48 * K - 512;

/** What qemu-img map says, neighbours that are alike taken together. */
function mapOf(path: string): unknown {
  const map: { length: number; present: boolean; data: boolean; offset?: number }[] = JSON.parse(
    qemuImg('map', '--output=json', path),
  );
  return map.map(({ length, present, data, offset }) => ({ length, present, data, offset }));
}

function assertAlike(t: Test, dir: string, what: string): void {
  const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
  t.equal(qemuCheck(ours).code, 0, `${what}: ${qemuCheck(ours).text}`);
  t.equal(
    qemuCheck(ours).text.match(/\d+\/\d+ =/)?.[0],
    qemuCheck(theirs).text.match(/\d+\/\d+ =/)?.[0],
    `${what}: as many clusters allocated`,
  );
  t.match(qemuImg('compare', ours, theirs), /identical/, what);
  // QEMU leaves subclusters out that Lamella maps: those behind the old end, and all of a new raw data file.
  if (!/extended_l2=on( to|, raw=on)/.test(what)) {
    t.same(mapOf(ours), mapOf(theirs), `${what}: same map`);
  }
  const [mine, other] = [join(dir, 'ours.data'), join(dir, 'theirs.data')];
  t.match(qemuImg('compare', '-f', 'raw', '-F', 'raw', mine, other), /identical/, what);
  t.equal(statSync(mine).size, statSync(other).size, what);
}

for (const raw of ['off', 'on']) {
  t.test(`resized as by qemu-img: data_file_raw=${raw}`, qemuTest, async (t) => {
    for (const extra of ['', ',cluster_size=4k', ',extended_l2=on']) {
      const dir = directory(t);
      const path = (name: string) => join(dir, name);
      for (const name of ['ours', 'theirs']) {
        const options = `data_file=${path(name)}.data,data_file_raw=${raw}${extra}`;
        qemuImg('create', '-q', '-f', 'qcow2', '-o', options, path(`${name}.qcow2`), `${OLD}`);
        qemuIo(path(`${name}.qcow2`), 'write -P 5 100k 100k', `write -P 6 ${OLD - 77 * K} 77k`);
      }
      let size = OLD;
      for (const [to, mode] of [
        ...MODES.map((mode, index) => [(index + 2) * M, mode] as const),
        [300 * K + 512, 'off'],
        [M, 'off'],
      ] as const) {
        const shrink = to < size ? ['--shrink'] : [];
        qemuImg(
          'resize',
          '-q',
          ...shrink,
          `--preallocation=${mode}`,
          path('theirs.qcow2'),
          `${to}`,
        );
        const pair = { image: loadFile(path('ours.qcow2')), data: loadFile(path('ours.data')) };
        await using disk = await openPair(pair, { writable: true });
        await disk.resize(to, { preallocation: mode });
        t.equal(disk.size, to);
        t.equal(pair.data.size, to, 'the data file is as long as the disk');
        await saveFile(pair.image, path('ours.qcow2'));
        await saveFile(pair.data, path('ours.data'));
        assertAlike(t, dir, `${extra} to ${to}, ${mode}`);
        size = to;
      }
    }
  });

  t.test(`preallocated as by qemu-img: data_file_raw=${raw}`, qemuTest, async (t) => {
    const dir = directory(t);
    const files = new FileStorageDriver();
    const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
    for (const extended_l2 of [false, true]) {
      for (const preallocation of MODES) {
        const data_file = join(dir, 'ours.data');
        const options = { data_file, data_file_raw: raw === 'on', preallocation, extended_l2 };
        const image = await files.create(ours, { overwrite: true });
        const data = await files.create(data_file, { overwrite: true });
        await driver.create(image, { size: M, options, openDataFile: async () => data });
        await image.close();
        await data.close();
        const list = `data_file=${join(dir, 'theirs.data')},data_file_raw=${raw},preallocation=${preallocation}`;
        const extended = `extended_l2=${extended_l2 ? 'on' : 'off'}`;
        qemuImg('create', '-q', '-f', 'qcow2', '-o', `${list},${extended}`, theirs, '1M');
        assertAlike(t, dir, `${preallocation}, ${extended}, raw=${raw}`);
        if (preallocation === 'falloc' || preallocation === 'full') {
          t.ok(statSync(data_file).blocks * 512 >= M, 'space is taken');
        }
        qemuIo(ours, 'read -P 0 0 1M', 'write -P 3 100k 100k', 'read -P 3 100k 100k');
        t.equal(qemuCheck(ours).code, 0);
      }
    }
  });
}

t.test('a data file that is kept is not touched by preallocation', async (t) => {
  for (const preallocation of MODES) {
    const data = MemoryStorage.from(filled(M, 9), { location: 'new.data' });
    const pair = await newPair(2 * M, { keep_data_file: true, preallocation }, data);
    t.equal(pair.data.size, 2 * M);
    t.ok((await storageContent(pair.data)).subarray(0, M).every((byte) => byte === 9));
    t.ok((await storageContent(pair.data)).subarray(M).every((byte) => byte === 0));
  }
});

t.test('a data file that is longer than the disk never shows through when it grows', async (t) => {
  for (const options of [{}, { data_file_raw: true }, { extended_l2: true }]) {
    for (const preallocation of MODES) {
      const data = MemoryStorage.from(filled(4 * M, 9), { location: 'new.data' });
      const pair = await newPair(OLD, { keep_data_file: true, ...options }, data);
      const disk = await openPair(pair, { writable: true });
      await disk.write(filled(3000, 1), OLD - 3000);
      await disk.resize(3 * M, { preallocation });
      t.ok((await content(disk)).subarray(OLD).every((byte) => byte === 0));
      await disk.close();
      t.ok((await storageContent(data)).subarray(OLD, 3 * M).every((byte) => byte === 0));
      t.equal(data.size, 3 * M);
    }
  }
});

interface Change {
  readonly options: Record<string, OptionValue>;
  readonly to: number;
  readonly preallocation?: Preallocation;
}

const CHANGES: readonly Change[] = [false, true].flatMap((data_file_raw) => [
  { options: { data_file_raw, cluster_size: '16k', extended_l2: true }, to: 2 * M },
  { options: { data_file_raw, cluster_size: '4k' }, to: 3 * M },
  { options: { data_file_raw, cluster_size: '4k' }, to: 3 * M, preallocation: 'metadata' },
  { options: { data_file_raw, cluster_size: '64k' }, to: 2 * M, preallocation: 'full' },
  { options: { data_file_raw, cluster_size: '4k' }, to: 200 * K + 512 },
  { options: { data_file_raw, cluster_size: '64k' }, to: 300 * K + 512 },
]);

async function prepared({ options }: Change): Promise<{ pair: Pair; expected: Uint8Array }> {
  const pair = await newPair(OLD, options);
  const disk = await openPair(pair, { writable: true });
  await disk.write(filled(280 * K, 1), 100 * K);
  await disk.write(filled(100 * K, 2), OLD - 100 * K);
  const expected = await content(disk);
  await disk.close();
  return { pair, expected };
}

/** The disk is as before, or as it was to become, and so is a data file that is raw. */
async function mistakes(
  pair: Pair,
  { options, to }: Change,
  expected: Uint8Array,
): Promise<string[]> {
  const { corruptions } = await verify(pair.image);
  const disk = await openPair(pair);
  const { size } = disk;
  const wanted = new Uint8Array(size);
  wanted.set(expected.subarray(0, size));
  const found = [...corruptions];
  if (size !== OLD && size !== to) {
    found.push(`the disk has ${size} bytes`);
  }
  if (Buffer.compare(await content(disk), wanted) !== 0) {
    found.push('the disk holds something else');
  }
  await disk.close();
  if (options.data_file_raw === true) {
    const data = await storageContent(pair.data);
    if (data.length < size || Buffer.compare(data.subarray(0, size), wanted) !== 0) {
      found.push(`the data file, of ${data.length} bytes, is not the disk of ${size}`);
    }
  }
  return found;
}

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

for (const change of CHANGES) {
  const name = JSON.stringify(change);
  t.test(`a crash leaves the old disk or the new one: ${name}`, async (t) => {
    const { pair, expected } = await prepared(change);
    const crashing = await recorded(pair);
    const disk = await openPair(crashing, { writable: true });
    await disk.resize(change.to, { preallocation: change.preallocation });
    await disk.close();
    t.same(await verify(pair.image), { corruptions: [], leaks: 0 }, 'clean at the end');
    t.equal(pair.data.size, change.to);
    const random = randomSource(7);
    const failures: string[] = [];
    const moments = boundariesOf(crashing);
    for (const moment of moments) {
      for (const chance of [0, 0.5, 1]) {
        const state = stateAt(crashing, moment, () => random() < chance);
        const found = await mistakes(state, change, expected);
        failures.push(...found.map((text) => `at ${moment}: ${text}`));
      }
    }
    t.same(failures.slice(0, 5), [], `${moments.length * 3} crash states`);
  });

  t.test(`no space at any moment leaves both files consistent: ${name}`, async (t) => {
    const failures: string[] = [];
    for (const file of ['image', 'data'] as const) {
      for (let left = 0, done = false; !done; left += left < 12 ? 1 : 5) {
        const { pair, expected } = await prepared(change);
        const full = new FullStorage(pair[file]);
        const disk = await openPair({ ...pair, [file]: full }, { writable: true });
        full.left = left;
        try {
          await disk.resize(change.to, { preallocation: change.preallocation });
          done = true;
        } catch (error) {
          if (!String(error).includes('limit')) {
            failures.push(`${file} after ${left}: ${error}`);
          }
        }
        full.left = Number.POSITIVE_INFINITY;
        await disk.close();
        const found = await mistakes(pair, change, expected);
        failures.push(...found.map((text) => `${file} after ${left}: ${text}`));
      }
    }
    t.same(failures.slice(0, 5), []);
  });
}
