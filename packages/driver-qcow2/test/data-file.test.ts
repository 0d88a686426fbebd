import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLamellaError, MemoryStorage, viewOf } from '@lamella/core';
import { TracingStorage } from '@lamella/driver-testkit';
import t from 'tap';
import { newPair, openPair, type Pair } from './support/data-files.js';
import { content, driver, filled, newImage, openDisk } from './support/disks.js';
import { newEncrypted, openEncrypted } from './support/encrypted.js';
import { directory, qemuCheck, qemuImg, qemuIo, qemuTest, saveFile } from './support/qemu.js';

const M = 1024 * 1024;
const CLUSTER = 65536;

async function codeOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
    return 'no error';
  } catch (error) {
    return isLamellaError(error) ? error.code : String(error);
  }
}

/** Offset of the only L2 table. */
function l2Of({ image }: Pair): number {
  const bytes = new Uint8Array(8);
  image.read(bytes, 40);
  image.read(bytes, viewOf(bytes).getUint32(4));
  return viewOf(bytes).getUint32(4);
}

/** Replaces an L2 entry. */
function setEntry(pair: Pair, index: number, high: number, low: number): void {
  const entry = new Uint8Array(8);
  viewOf(entry).setUint32(0, high);
  viewOf(entry).setUint32(4, low);
  pair.image.write(entry, l2Of(pair) + index * 8);
}

async function written(): Promise<Pair> {
  const pair = await newPair(M);
  await using disk = await openPair(pair, { writable: true });
  await disk.write(filled(4 * CLUSTER, 7), 0);
  return pair;
}

t.test('clusters are where the guest sees them, the first one at 0', async (t) => {
  const pair = await newPair(M);
  await using disk = await openPair(pair, { writable: true });
  await disk.write(filled(10, 1), 5 * CLUSTER + 3);
  await disk.write(filled(10, 2), 3);
  const hosts = [];
  for await (const { kind, offset, hostOffset } of disk.extents()) {
    if (kind === 'data') {
      hosts.push([offset, hostOffset]);
    }
  }
  t.same(hosts, [
    [0, 0],
    [5 * CLUSTER, 5 * CLUSTER],
  ]);
  const bytes = new Uint8Array(4);
  await pair.data.read(bytes, 2);
  t.same([...bytes], [0, 2, 2, 2]);
});

t.test('entries that make no sense are refused, and stop writes', async (t) => {
  const copied = 0x8000_0000;
  for (const [what, high, low] of [
    ['another place', copied, 5 * CLUSTER],
    ['compressed', 0x4000_0000, 2 * CLUSTER],
    ['unaligned', copied, 2 * CLUSTER + 512],
  ] as const) {
    const pair = await written();
    setEntry(pair, 2, high, low);
    const disk = await openPair(pair, { writable: true });
    const read = () => disk.read(new Uint8Array(1), 2 * CLUSTER);
    t.equal(await codeOf(read), 'CORRUPT', `${what}: reading`);
    await disk.read(new Uint8Array(1), CLUSTER);
    const write = () => disk.write(filled(1, 1), 2 * CLUSTER);
    t.equal(await codeOf(write), 'CORRUPT', `${what}: writing`);
    const bits = new Uint8Array(1);
    await pair.image.read(bits, 79);
    t.equal(bits[0], 4 + 2, 'marked as corrupt');
    await disk.close().catch(() => undefined);
    t.equal(await codeOf(() => openPair(pair, { writable: true })), 'CORRUPT');
  }
});

t.test('an entry without the COPIED flag is as good as one with it', async (t) => {
  const pair = await written();
  setEntry(pair, 2, 0, 2 * CLUSTER);
  await using disk = await openPair(pair, { writable: true });
  await disk.write(filled(1, 1), 2 * CLUSTER);
  const seen = new Uint8Array(2);
  await disk.read(seen, 2 * CLUSTER);
  t.same([...seen], [1, 7]);
});

t.test('what a short data file lacks reads as zeroes', async (t) => {
  const pair = await written();
  await pair.data.truncate(CLUSTER + 100);
  await using disk = await openPair(pair, { writable: true });
  const bytes = await content(disk);
  t.equal(bytes.indexOf(0), CLUSTER + 100);
  t.ok(bytes.subarray(CLUSTER + 100).every((byte) => byte === 0));
  await disk.write(filled(10, 3), 3 * CLUSTER);
  t.equal(pair.data.size, 3 * CLUSTER + 10);
});

t.test('nothing is compressed where data is in another file, or encrypted', async (t) => {
  const pair = await newPair(M);
  await using disk = await openPair(pair, { writable: true });
  const compress = () => disk.writeCompressed(filled(CLUSTER, 1), 0);
  t.equal(await codeOf(compress), 'UNSUPPORTED');
  t.ok((await content(disk)).every((byte) => byte === 0));
  // qemu-img convert -c: "Compression and encryption not supported at the same time".
  for (const format of ['luks', 'aes']) {
    const options = format === 'luks' ? { 'encrypt.iter-time': 1 } : {};
    const storage = await newEncrypted(M, { 'encrypt.format': format, ...options });
    await using encrypted = await openEncrypted(storage, { writable: true });
    t.equal(
      await codeOf(() => encrypted.writeCompressed(filled(CLUSTER, 1), 0)),
      'UNSUPPORTED',
      format,
    );
  }
});

t.test('a flush takes the data file before what points to it', async (t) => {
  const { image, data } = await newPair(M);
  const order: string[] = [];
  const watch = (name: string, storage: MemoryStorage | Pair['image']) =>
    new (class extends TracingStorage {
      override async flush(): Promise<void> {
        order.push(`flush ${name}`);
        await super.flush();
      }
      override write(bytes: Uint8Array, offset: number) {
        order.push(`write ${name}`);
        return super.write(bytes, offset);
      }
      override writev(pieces: readonly Uint8Array[], offset: number) {
        order.push(`write ${name}`);
        return super.writev(pieces, offset);
      }
    })(storage);
  await using disk = await openPair(
    { image: watch('image', image), data: watch('data', data) },
    { writable: true },
  );
  await disk.write(filled(10, 1), 0);
  order.length = 0;
  await disk.flush();
  const dataFlush = order.indexOf('flush data');
  t.ok(dataFlush >= 0 && dataFlush < order.lastIndexOf('write image'), order.join());
  order.length = 0;
  await disk.write(filled(10, 2), 0);
  await disk.flush();
  t.same(
    order.filter((what) => what.endsWith('data')),
    ['write data', 'flush data'],
    'also where no metadata changes',
  );
});

t.test('space is given back in the data file', async (t) => {
  const data = new MemoryStorage({ location: 'new.data' });
  const pair = await newPair(M, {}, data);
  await using disk = await openPair(pair, { writable: true });
  await disk.write(filled(M, 1), 0);
  t.equal(data.allocatedBytes, M);
  await disk.discard(0, 4 * CLUSTER);
  await disk.writeZeroes(8 * CLUSTER, 4 * CLUSTER);
  await disk.writeZeroes(12 * CLUSTER, CLUSTER, { unmap: false });
  t.equal(data.allocatedBytes, M - 8 * CLUSTER);
  await disk.flush();
  const bytes = await content(disk);
  t.ok(bytes.subarray(0, 4 * CLUSTER).every((byte) => byte === 0));
  t.ok(bytes.subarray(4 * CLUSTER, 8 * CLUSTER).every((byte) => byte === 1));
  t.ok(bytes.subarray(8 * CLUSTER, 13 * CLUSTER).every((byte) => byte === 0));
});

t.test('a raw data file and a backing file: looked at, not written', async (t) => {
  const pair = await written();
  const image = await driver.open(pair.image, {
    writable: true,
    openDataFile: async () => pair.data,
  });
  await image.setBacking?.({ location: 'base', format: 'raw' });
  await image.close();
  await pair.image.write(Uint8Array.of(2), 95);
  const open = (writable: boolean) =>
    driver.open(pair.image, { writable, openDataFile: async () => pair.data });
  t.same((await open(false)).references.backing, { location: 'base', format: 'raw' });
  t.equal(await codeOf(() => open(true)), 'UNSUPPORTED');
});

t.test('the bit of a raw data file stays when the image is written', async (t) => {
  const pair = await newPair(M, { data_file_raw: true });
  await pair.image.write(Uint8Array.of(0x42), 95);
  const disk = await openPair(pair, { writable: true });
  await disk.write(filled(1, 1), 0);
  await disk.close();
  const bits = new Uint8Array(1);
  await pair.image.read(bits, 95);
  t.equal(bits[0], 2, 'known ones stay, unknown ones go');
});

t.test('a driver without anybody to open files', async (t) => {
  const pair = await written();
  const disk = await openDisk([pair.image]);
  t.equal(await codeOf(() => disk.read(new Uint8Array(1), 0)), 'REFERENCE_DENIED');
  await disk.read(new Uint8Array(1), 8 * CLUSTER);
  const make = () => newImage(M, { data_file: 'x' });
  t.equal(await codeOf(make), 'UNSUPPORTED');
});

t.test('bitmaps record what is written to a data file', qemuTest, async (t) => {
  const dir = directory(t);
  const [path, data] = [join(dir, 'a.qcow2'), join(dir, 'a.data')];
  qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${data}`, path, '1M');
  qemuImg('bitmap', '--add', '-g', '64k', path, 'b');
  const pair = {
    image: MemoryStorage.from(readFileSync(path)),
    data: MemoryStorage.from(readFileSync(data)),
  };
  const disk = await openPair(pair, { writable: true });
  await disk.write(filled(100, 5), 3 * CLUSTER);
  await disk.close();
  await saveFile(pair.image, path);
  await saveFile(pair.data, data);
  t.equal(qemuCheck(path).code, 0, qemuCheck(path).text);
  const reopened = await driver.open(pair.image, { writable: false });
  const ranges = [];
  for await (const range of reopened.bitmaps?.ranges('b') ?? []) {
    ranges.push(range);
  }
  t.same(ranges, [{ offset: 3 * CLUSTER, length: CLUSTER }]);
});

t.test('an image that QEMU made and wrote', qemuTest, async (t) => {
  for (const raw of ['off', 'on']) {
    const dir = directory(t);
    const [path, data] = [join(dir, 'a.qcow2'), join(dir, 'a.data')];
    const options = `data_file=${data},data_file_raw=${raw}`;
    qemuImg('create', '-q', '-f', 'qcow2', '-o', options, path, '3M');
    qemuIo(
      path,
      'write -P 1 0 1M',
      'write -P 2 1000k 300k',
      'write -z 64k 64k',
      'write -z -u 192k 64k',
      'discard 384k 64k',
      'write -P 3 200k 1k',
    );
    const pair = {
      image: MemoryStorage.from(readFileSync(path)),
      data: MemoryStorage.from(readFileSync(data)),
    };
    const disk = await openPair(pair, { writable: true });
    execFileSync('qemu-img', ['convert', '-O', 'raw', path, join(dir, 'expected')]);
    const expected = new Uint8Array(readFileSync(join(dir, 'expected')));
    t.ok(Buffer.compare(await content(disk), expected) === 0, `raw ${raw}: read`);
    for (const [offset, length] of [
      [70_000, 10],
      [192 * 1024, 5000],
      [390 * 1024, 100_000],
      [3 * M - 1, 1],
    ] as const) {
      await disk.write(filled(length, 9), offset);
      expected.fill(9, offset, offset + length);
    }
    await disk.close();
    await saveFile(pair.image, path);
    await saveFile(pair.data, data);
    writeFileSync(join(dir, 'expected'), expected);
    t.match(qemuImg('compare', '-F', 'raw', path, join(dir, 'expected')), /identical/);
    if (raw === 'on') {
      const same = qemuImg('compare', '-f', 'raw', '-F', 'raw', data, join(dir, 'expected'));
      t.match(same, /identical/);
    }
    t.equal(qemuCheck(path).code, 0);
  }
});
