import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Disk, type MemoryStorage, type OptionValue } from '@lamella/core';
import t, { type Test } from 'tap';
import { RecordingBitmaps } from '#internal/bitmaps/recording-bitmaps.js';
import { readHeader } from '#internal/header/parse.js';
import { readParts } from '#internal/image.js';
import { writeParts } from '#internal/writable-image.js';
import { HAVE_NBD, qemuBitmaps, qemuRanges, rangesFrom, storedBitmaps } from './support/bitmaps.js';
import { driver, filled, newImage, openDisk, openLayer } from './support/disks.js';
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

const M = 1024 * 1024;
const SHAPES: readonly (readonly [number, Record<string, OptionValue>])[] = [
  [4 * M, { cluster_size: '64k' }],
  [4 * M + 5 * 512, { cluster_size: 512 }],
  [16 * M, { cluster_size: '4k', refcount_bits: 64 }],
  [8 * M - 512, { cluster_size: '16k', extended_l2: true }],
  [4 * M, { cluster_size: '2M' }],
];

/** Changes that QEMU and we record alike. */
const CHANGES: readonly (readonly [string, (disk: Disk) => Promise<void>])[] = [
  ['write -P 1 0 512', (disk) => disk.write(filled(512, 1), 0)],
  ['write -P 2 700000 100000', (disk) => disk.write(filled(100000, 2), 700000)],
  ['write -P 3 700100 10', (disk) => disk.write(filled(10, 3), 700100)],
  ['write -z 1M 128k', (disk) => disk.writeZeroes(M, 128 * 1024)],
  ['write -P 4 3M 512k', (disk) => disk.write(filled(512 * 1024, 4), 3 * M)],
  ['discard 2M 2M', (disk) => disk.discard(2 * M, 2 * M)],
];

t.equal(HAVE_NBD || process.env.LAMELLA_REQUIRE_QEMU !== '1', true, 'qemu-nbd is there');

t.test('QEMU reads what was recorded here', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  for (const [size, options] of SHAPES) {
    const storage = await newImage(size, options);
    const disk = await openDisk([storage], { writable: true });
    await disk.bitmaps.add({ name: 'default' });
    await disk.bitmaps.add({ name: 'fine', granularity: 512 });
    await disk.bitmaps.add({ name: 'coarse ü', granularity: 2 * M });
    await disk.bitmaps.add({ name: 'off', recording: false });
    for (const [, change] of CHANGES) {
      await change(disk);
    }
    const here = await allRanges(disk);
    t.same(here.off, [], 'a disabled bitmap records nothing');
    await disk.close();
    await saveFile(storage, path);
    await assertQemuAgrees(t, path, storage);
    for (const name of Object.keys(here)) {
      t.same(await qemuRanges(path, name), here[name], `${name}, ${JSON.stringify(options)}`);
    }
  }
});

t.test('QEMU and we record the same', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  for (const [size, options] of SHAPES) {
    await saveFile(await newImage(size, options), path);
    for (const granularity of [512, 65536, 2 * M]) {
      qemuImg('bitmap', '--add', '-g', `${granularity}`, '-f', 'qcow2', path, `g${granularity}`);
    }
    qemuImg('bitmap', '--add', '-f', 'qcow2', path, 'default');
    qemuImg('bitmap', '--add', '--disable', '-f', 'qcow2', path, 'off');
    const ours = loadFile(path);
    qemuIo(path, ...CHANGES.map(([command]) => command));
    const disk = await openDisk([ours], { writable: true });
    for (const [, change] of CHANGES) {
      await change(disk);
    }
    await disk.close();
    const theirs = loadFile(path);
    t.same(await readAll(ours), await readAll(theirs), JSON.stringify(options));
    t.same(await decoded(ours), await decoded(theirs), 'decoded independently');
    await saveFile(ours, path);
    await assertQemuAgrees(t, path, ours);
  }
});

t.test('each tool goes on with the bitmaps of the other', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  await saveFile(await newImage(4 * M), path);
  const bitmap = (...args: string[]) => qemuImg('bitmap', '-f', 'qcow2', ...args);
  const here = async (change: (disk: Disk) => Promise<void>) => {
    const storage = loadFile(path);
    const disk = await openDisk([storage], { writable: true });
    await change(disk);
    await disk.close();
    await saveFile(storage, path);
    await assertQemuAgrees(t, path, storage);
  };
  await here((disk) => disk.bitmaps.add({ name: 'a', granularity: 4096 }));
  bitmap('--add', '-g', '32k', path, 'b');
  await here((disk) => disk.write(filled(10000, 1), 100000));
  qemuIo(path, 'write 2M 70000');
  await here(async (disk) => {
    await disk.bitmaps.disable('a');
    await disk.write(filled(10, 1), 0);
  });
  const a = [
    { offset: 98304, length: 12288 },
    { offset: 2097152, length: 73728 },
  ];
  const b = [
    { offset: 0, length: 32768 },
    { offset: 98304, length: 32768 },
    { offset: 2097152, length: 98304 },
  ];
  t.same([await qemuRanges(path, 'a'), await qemuRanges(path, 'b')], [a, b]);
  bitmap('--enable', path, 'a');
  bitmap('--clear', path, 'b');
  await here((disk) => disk.bitmaps.merge('b', ['a']));
  const coarse = b.slice(1);
  t.same(await qemuRanges(path, 'b'), coarse, 'merged here into a coarser one');
  bitmap('--add', '--disable', '-g', '512', path, 'c');
  bitmap('--merge', 'b', path, 'c');
  await here(async (disk) => {
    t.same(await rangesFrom(disk, 'c'), coarse, 'merged there into a finer one');
    await disk.bitmaps.clear('a');
    await disk.bitmaps.remove('b');
    await disk.writeCompressed(filled(65536, 3), 65536);
  });
  t.same(await qemuRanges(path, 'a'), [{ offset: 65536, length: 65536 }], 'compressed');
  t.same(
    qemuBitmaps(path).map(({ name, flags }) => [name, ...flags]),
    [['a', 'auto'], ['c']],
  );
  bitmap('--remove', path, 'a');
  await here((disk) => disk.bitmaps.remove('c'));
  t.same(qemuBitmaps(path), []);
});

t.test('bitmaps of two images are merged as by qemu-img', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  const [one, two, small] = [await newImage(4 * M), await newImage(4 * M), await newImage(M)];
  const from = await openDisk([one], { writable: true });
  await from.bitmaps.add({ name: 'source', granularity: 512 });
  await from.write(filled(1000, 1), 500_000);
  await from.write(filled(1000, 1), 600_000);
  const into = await openDisk([two], { writable: true });
  await into.bitmaps.add({ name: 'target', granularity: 4096 });
  await into.bitmaps.merge('target', ['source'], { from });
  const other = await openDisk([small], { writable: true });
  await other.bitmaps.add({ name: 'x' });
  await t.rejects(into.bitmaps.merge('target', ['x'], { from: other }), {
    code: 'INVALID_ARGUMENT',
  });
  await t.rejects(into.bitmaps.merge('target', ['x'], { from }), { code: 'NOT_FOUND' });
  await Promise.all([from, into, other].map((disk) => disk.close()));
  await saveFile(two, path);
  const merged = await qemuRanges(path, 'target');
  await saveFile(one, `${path}.source`);
  qemuImg('bitmap', '--clear', '-f', 'qcow2', path, 'target');
  qemuImg(
    ...['bitmap', '--merge', 'source', '-b', `${path}.source`, '-F', 'qcow2', '-f', 'qcow2'],
    ...[path, 'target'],
  );
  t.same(merged, await qemuRanges(path, 'target'));
  t.equal(merged.length, 2);
});

/** Changes the disk's size in the header, which the L1 table allows, with its bitmaps. */
async function resized(storage: MemoryStorage, size: number, everything = false): Promise<void> {
  const setup = { storage, codecs: [], header: await readHeader(storage) };
  const parts = await writeParts(await readParts(setup));
  const bitmaps = new RecordingBitmaps(parts);
  await bitmaps.rewriteHeader({ ...parts.header, size }, everything);
  await parts.flusher.flush();
}

t.test('bitmaps of a disk whose size changes are as after qemu-img resize', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  const sizes = [900_096, 1_000_448, 512, 16_000_000, 3 * M, 20 * M];
  for (const options of [{ cluster_size: 512 }, { cluster_size: '64k' }]) {
    const ours = await newImage(20 * M, options);
    const disk = await openDisk([ours], { writable: true });
    await disk.bitmaps.add({ name: 'a' });
    await disk.bitmaps.add({ name: 'fine', granularity: 512 });
    await disk.bitmaps.add({ name: 'coarse', granularity: 2 * M });
    await disk.bitmaps.add({ name: 'off', recording: false });
    await disk.write(filled(100_000, 1), 880_000);
    await disk.write(filled(100_000, 1), 15_950_000);
    await disk.bitmaps.merge('off', ['a']);
    await disk.close();
    await saveFile(ours, path);
    for (const size of sizes) {
      await resized(ours, size);
      qemuImg('resize', '-q', '--shrink', '-f', 'qcow2', path, `${size}`);
      t.same(await decoded(ours), await decoded(loadFile(path)), `${size} bytes`);
      t.same(await verify(ours), { corruptions: [], leaks: 0 });
    }
    await saveFile(ours, path);
    await assertQemuAgrees(t, path, ours);
    await resized(ours, 5 * M + 512, true);
    const whole = [{ offset: 0, length: 5 * M + 512 }];
    t.match(await decoded(ours), [
      { name: 'a', ranges: whole },
      { name: 'fine', ranges: whole },
      { name: 'coarse', ranges: whole },
      { name: 'off', auto: false },
    ]);
    await saveFile(ours, path);
    await assertQemuAgrees(t, path, ours);
    t.same(await qemuRanges(path, 'fine'), whole);
  }
});

t.test('a disk of a terabyte', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  const storage = await newImage(2 ** 40);
  const disk = await openDisk([storage], { writable: true });
  await disk.bitmaps.add({ name: 'a' });
  await disk.writeZeroes(2 ** 36 - 65536, 3 * 2 ** 36);
  await disk.write(filled(10, 1), 2 ** 40 - 10);
  const ranges = await rangesFrom(disk, 'a');
  await disk.close();
  await saveFile(storage, path);
  await assertQemuAgrees(t, path, storage);
  t.same(await qemuRanges(path, 'a'), ranges);
  const [bitmap] = await storedBitmaps(storage);
  t.equal(bitmap?.table.filter((entry) => entry === 1).length, 5, 'ones without clusters');
  t.equal(bitmap?.table.filter((entry) => entry > 1).length, 3);
  qemuIo(path, 'write 0 512');
  const again = loadFile(path);
  t.same(await rangesFrom(await openDisk([again]), 'a'), [{ offset: 0, length: 65536 }, ...ranges]);
});

t.test('an overlay that is emptied shows the same: nothing is recorded', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  const base = await newImage(M);
  await saveFile(base, `${path}.base`);
  const top = await newImage(M, {}, { location: `${path}.base`, format: 'qcow2' });
  const layer = await openLayer(top, true);
  const disk = new Disk([layer]);
  await disk.write(filled(65536, 1), 65536);
  await disk.bitmaps.add({ name: 'a' });
  await disk.close();
  await saveFile(top, path);
  qemuImg('commit', '-q', '-f', 'qcow2', path);
  const emptied = await driver.open(top, { writable: true });
  await emptied.makeEmpty?.();
  await emptied.close();
  t.same(await decoded(top), await decoded(loadFile(path)));
});

t.test('bitmaps that are stale are forgotten by a writer', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  writeFileSync(`${path}.base`, filled(M, 1));
  for (const wanted of ['none', 'new']) {
    const storage = await newImage(4 * M, {}, { location: `${path}.base`, format: 'raw' });
    const disk = await openDisk([storage], { writable: true });
    await disk.bitmaps.add({ name: 'old' });
    await disk.close();
    storage.write(new Uint8Array(8), 88);
    await saveFile(storage, path);
    t.match(qemuCheck(path).text, /without bitmap|lacking bitmap/);
    const again = await openDisk([storage], { writable: true });
    t.same(again.bitmaps.list(), []);
    if (wanted === 'new') {
      await again.bitmaps.add({ name: 'new' });
    }
    await again.close();
    await saveFile(storage, path);
    const { code, text } = qemuCheck(path);
    t.equal(code, 3, 'what they took is a leak');
    t.notMatch(text, /bitmap/);
    t.match(qemuImg('info', '-f', 'qcow2', path), /image\.base/);
    t.equal(qemuBitmaps(path).length, wanted === 'new' ? 1 : 0);
  }
});

t.test('the refcount table grows while bitmaps are stored', async (t) => {
  const options = { cluster_size: 512, refcount_bits: 64 };
  const storage = await newImage(16 * M, options);
  const disk = await openDisk([storage], { writable: true });
  const tables = new Set<number>();
  await disk.write(filled(1.8 * M, 1), 14 * M);
  for (let index = 0; index < 40; index += 1) {
    await disk.bitmaps.add({ name: `${index}`, granularity: 512 });
    // Every other sector, so that no cluster of bits is all alike.
    for (let at = 0; at < 16 * M && index % 10 === 0; at += 2 * M) {
      await disk.write(filled(512, index + 1), at + index * 1024);
    }
    await disk.bitmaps.merge(`${index}`, ['0']);
    tables.add((await readHeader(storage)).refcountTableOffset);
  }
  await disk.close();
  t.ok(tables.size > 1, `${tables.size} tables`);
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('bitmaps that QEMU left in use', qemuTest, async (t) => {
  const path = join(directory(t), 'image');
  await saveFile(await newImage(4 * M), path);
  qemuImg('bitmap', '--add', '-f', 'qcow2', path, 'killed');
  t.throws(() => qemuIo(path, 'write 0 64k', 'flush', 'sigraise 9'));
  const storage = loadFile(path);
  const disk = await openDisk([storage], { writable: true });
  t.match(disk.bitmaps.list(), [{ name: 'killed', recording: true, inconsistent: true }]);
  await disk.write(filled(512, 1), M);
  const uses: readonly (() => Promise<unknown>)[] = [
    () => disk.bitmaps.clear('killed'),
    () => disk.bitmaps.enable('killed'),
    () => disk.bitmaps.disable('killed'),
    () => disk.bitmaps.merge('killed', []),
    () => rangesFrom(disk, 'killed'),
  ];
  for (const use of uses) {
    await t.rejects(use(), { code: 'CORRUPT', problem: /'killed' is inconsistent/ });
  }
  await disk.bitmaps.add({ name: 'new' });
  await t.rejects(disk.bitmaps.merge('new', ['killed']), { code: 'CORRUPT' });
  await disk.write(filled(512, 1), 0);
  await disk.close();
  await saveFile(storage, path);
  t.same(
    qemuBitmaps(path).map(({ flags }) => flags),
    [['in-use', 'auto'], ['auto']],
  );
  t.same(await qemuRanges(path, 'new'), [{ offset: 0, length: 65536 }]);
  const again = await openDisk([storage], { writable: true });
  await again.bitmaps.remove('killed');
  await again.close();
  await saveFile(storage, path);
  await assertQemuAgrees(t, path, storage);
});

async function allRanges(disk: Disk) {
  const all: Record<string, Awaited<ReturnType<typeof rangesFrom>>> = {};
  for (const { name } of disk.bitmaps.list()) {
    all[name] = await rangesFrom(disk, name);
  }
  return all;
}

async function readAll(storage: MemoryStorage) {
  const disk = await openDisk([storage]);
  return { list: disk.bitmaps.list(), ranges: await allRanges(disk) };
}

async function decoded(storage: MemoryStorage) {
  return (await storedBitmaps(storage)).map(({ table: _, ...rest }) => rest);
}

async function assertQemuAgrees(t: Test, path: string, storage: MemoryStorage): Promise<void> {
  const { code, text } = qemuCheck(path);
  t.equal(code, 0, text);
  const listed = qemuBitmaps(path).map(({ name, granularity, flags }) => ({
    name,
    granularity,
    recording: flags.includes('auto'),
    inconsistent: flags.includes('in-use'),
  }));
  t.same((await openDisk([storage])).bitmaps.list(), listed, 'qemu-img info lists the same');
}
