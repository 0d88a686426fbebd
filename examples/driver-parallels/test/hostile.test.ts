import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorCode, isLamellaError, MemoryStorage } from '@lamella/core';
import { BoundedStorage, storageContent } from '@lamella/driver-testkit';
import { ParallelsDriver } from '@lamella-examples/driver-parallels';
import { Disk, Lamella } from 'lamella';
import t from 'tap';

const CLUSTER = 4096;
const driver = new ParallelsDriver();
const OPTIONS = { cluster_size: CLUSTER, magic: 'WithouFreSpacExt' };

/** An image of four clusters, of which the first and the third are stored. */
async function goodImage(magic = OPTIONS.magic): Promise<Uint8Array> {
  const storage = new MemoryStorage();
  await driver.create(storage, { size: 4 * CLUSTER, options: { ...OPTIONS, magic } });
  const image = await driver.open(storage, { writable: true });
  const disk = new Disk([{ format: 'parallels', storage, image, writable: true }]);
  await disk.write(new Uint8Array(CLUSTER).fill(1), 0);
  await disk.write(new Uint8Array(CLUSTER).fill(3), 2 * CLUSTER);
  await disk.flush();
  await image.close();
  return storageContent(storage);
}

type Damage = (view: DataView) => void;
const set =
  (offset: number, value: number): Damage =>
  (view) =>
    view.setUint32(offset, value, true);

async function outcome(image: Uint8Array, writable: boolean): Promise<ErrorCode | 'fine'> {
  const storage = new BoundedStorage(MemoryStorage.from(image), {
    maxCalls: 200,
    maxLength: 64 * 1024,
    mayChange: writable,
  });
  try {
    const opened = await driver.open(storage, { writable });
    for (let offset = 0; offset < Math.min(opened.size, 2 ** 20); ) {
      offset += opened.map(offset, opened.size - offset).length;
    }
    return 'fine';
  } catch (error) {
    if (!isLamellaError(error)) {
      throw error;
    }
    return error.code;
  }
}

const DAMAGES: readonly (readonly [
  what: string,
  reading: ErrorCode | 'fine',
  writing: ErrorCode | 'fine',
  damage: Damage,
])[] = [
  ['another magic', 'WRONG_FORMAT', 'WRONG_FORMAT', set(0, 0)],
  ['another version', 'UNSUPPORTED', 'UNSUPPORTED', set(16, 3)],
  ['clusters of no bytes', 'INVALID_HEADER', 'INVALID_HEADER', set(28, 0)],
  ['clusters of 2 TiB', 'LIMIT_EXCEEDED', 'LIMIT_EXCEEDED', set(28, 0xffffffff)],
  ['2^32 - 1 entries', 'LIMIT_EXCEEDED', 'LIMIT_EXCEEDED', set(32, 0xffffffff)],
  ['entries over the first cluster', 'INVALID_HEADER', 'INVALID_HEADER', set(32, 1009)],
  ['too few entries', 'INVALID_HEADER', 'INVALID_HEADER', set(32, 3)],
  ['a disk of 2^44 bytes', 'INVALID_HEADER', 'INVALID_HEADER', set(40, 8)],
  ['a disk above 2^53 bytes', 'LIMIT_EXCEEDED', 'LIMIT_EXCEEDED', set(40, 0x1000)],
  ['2^64 - 2^32 sectors', 'LIMIT_EXCEEDED', 'LIMIT_EXCEEDED', set(40, 0xffffffff)],
  ['no first cluster', 'INVALID_HEADER', 'INVALID_HEADER', set(48, 0)],
  ['clusters from within a cluster on', 'INVALID_HEADER', 'INVALID_HEADER', set(48, 9)],
  ['a format extension', 'fine', 'UNSUPPORTED', set(56, 8)],
  ['a format extension far away', 'fine', 'UNSUPPORTED', set(60, 1)],
  ['marked as empty', 'CORRUPT', 'CORRUPT', set(52, 1)],
  ['in use', 'fine', 'fine', set(44, 0x746f6e59)],
  ['a cluster in the table', 'CORRUPT', 'CORRUPT', set(64, 0xffffffff)],
  ['a cluster behind the end', 'CORRUPT', 'CORRUPT', set(64, 3)],
  ['one cluster used twice', 'fine', 'CORRUPT', set(64, 2)],
];

t.test('images made to do harm are refused, with a code that says why', async (t) => {
  const good = await goodImage();
  t.equal(await outcome(good, true), 'fine', 'what they were made from is fine');
  for (const [what, reading, writing, damage] of DAMAGES) {
    const image = good.slice();
    damage(new DataView(image.buffer));
    t.equal(await outcome(image, false), reading, `${what}, for reading`);
    const before = image.slice();
    const storage = MemoryStorage.from(image);
    t.equal(await outcome(await storageContent(storage), true), writing, `${what}, for writing`);
    t.same(image, before);
  }
});

t.test('places in sectors', async (t) => {
  const good = await goodImage('WithoutFreeSpace');
  const at = (entry: number) => {
    const image = good.slice();
    set(64, entry)(new DataView(image.buffer));
    return image;
  };
  t.equal(await outcome(at(8), true), 'fine');
  t.equal(await outcome(at(9), false), 'fine', 'between two clusters, for reading');
  t.equal(await outcome(at(9), true), 'CORRUPT', 'between two clusters, for writing');
  t.equal(await outcome(at(7), false), 'CORRUPT', 'before the first cluster');
  t.equal(await outcome(at(0xffffffff), false), 'CORRUPT');
});

t.test('an image cut anywhere', async (t) => {
  const good = await goodImage();
  for (const [length, expected] of [
    [0, 'WRONG_FORMAT'],
    [15, 'WRONG_FORMAT'],
    [16, 'TRUNCATED'],
    [63, 'TRUNCATED'],
    [79, 'TRUNCATED'],
    [80, 'CORRUPT'],
    [CLUSTER, 'CORRUPT'],
    [2 * CLUSTER, 'CORRUPT'],
    [2 * CLUSTER + 1, 'fine'],
  ] as const) {
    t.equal(await outcome(good.slice(0, length), false), expected, `${length} bytes`);
  }
});

t.test('the largest table that is taken, in a file of holes, takes bounded memory', async (t) => {
  const path = join(t.testdir(), 'large.hdd');
  const image = (await goodImage()).slice(0, 64);
  const view = new DataView(image.buffer);
  const entries = 16 * 2 ** 20;
  view.setUint32(28, 2048, true);
  view.setUint32(32, entries, true);
  view.setUint32(36, 0, true);
  view.setUint32(40, 8, true);
  view.setUint32(48, 65 * 2048, true);
  await writeFile(path, image);
  await truncate(path, 66 * 2 ** 20);
  const before = process.memoryUsage.rss();
  await using disk = await new Lamella().register(ParallelsDriver).open(path, { writable: true });
  await disk.write(new Uint8Array(100), disk.size - 100);
  const grown = process.memoryUsage.rss() - before;
  t.ok(grown < 250 * 2 ** 20, `${Math.round(grown / 2 ** 20)} MiB more`);
});
