import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Disk, OptionValue } from '@lamella/core';
import t from 'tap';
import { Editable } from './support/editable.js';
import {
  LUKS,
  newEncrypted,
  openEncrypted,
  PASSPHRASE,
  qemuCheckEncrypted,
  qemuDecrypt,
  qemuIoEncrypted,
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
import {
  compressingDriver,
  content,
  createOptions,
  filled,
  newStorage,
  open,
} from './support/snapshots.js';

const KIB = 1024;

/** The disk, or one of its snapshots, as QEMU reads it. */
function qemuReads(path: string, snapshot?: string): Uint8Array {
  const which = snapshot === undefined ? [] : ['-l', snapshot];
  qemuImg('convert', '-f', 'qcow2', '-O', 'raw', ...which, path, `${path}.raw`);
  const bytes = readFileSync(`${path}.raw`);
  rmSync(`${path}.raw`);
  return new Uint8Array(bytes);
}

/** Identifiers, names and VM state sizes as qemu-img lists them. */
function qemuLists(path: string): string[] {
  return qemuImg('snapshot', '-l', path)
    .split('\n')
    .slice(2)
    .filter((line) => line !== '')
    .map((line) => line.trim().split(/\s+/).slice(0, 4).join(' '));
}

function lists(disk: Disk): string[] {
  return disk.snapshots.list().map(({ id, name, vmStateSize }) => `${id} ${name} ${vmStateSize} B`);
}

/** The snapshot table's bytes, dates left out. */
function table(path: string): string {
  const image = new Editable(readFileSync(path));
  const entries: string[] = [];
  for (let at = image.snapshotTable, i = 0; i < image.u32(60); i += 1) {
    const length = 40 + image.u32(at + 36) + image.u16(at + 12) + image.u16(at + 14);
    const entry = Buffer.from(image.bytes.subarray(at + 8, at + length));
    entry.fill(0, 8, 16);
    entries.push(entry.toString('hex'));
    at += Math.ceil(length / 8) * 8;
  }
  return entries.join('\n');
}

const CASES: readonly Record<string, OptionValue>[] = [
  {},
  { compat: '0.10' },
  { cluster_size: 512 },
  { cluster_size: '2M' },
  { extended_l2: true },
  { cluster_size: '4k', refcount_bits: 8 },
  { cluster_size: '4k', refcount_bits: 64 },
];

for (const options of CASES) {
  t.test(`snapshots made here, used by QEMU: ${JSON.stringify(options)}`, qemuTest, async (t) => {
    const path = join(directory(t), 'a.qcow2');
    const storage = newStorage();
    await compressingDriver.create(storage, createOptions(8192 * KIB, options));
    const disk = await open(storage, true);
    const cluster = Number(disk.layers[0]?.options.cluster_size);
    await disk.write(filled(3000 * KIB, 1), 100 * KIB);
    await disk.writeCompressed(filled(2 * cluster, 2), 4096 * KIB);
    await disk.snapshots.create({ name: 'one' });
    const one = await content(disk);
    await disk.write(filled(50_000, 3), 4096 * KIB - 7000);
    await disk.writeZeroes(512 * KIB, 1024 * KIB, { unmap: false });
    await disk.discard(2048 * KIB, 100 * KIB);
    await disk.snapshots.create({ name: 'two' });
    const two = await content(disk);
    await disk.write(filled(70_000, 4), 3000 * KIB);
    const now = await content(disk);
    const listed = lists(disk);
    await disk.close();
    await saveFile(storage, path);
    t.match(qemuCheck(path), { code: 0 });
    t.same(qemuLists(path), listed);
    t.ok(Buffer.compare(qemuReads(path, 'one'), one) === 0, 'as of one');
    t.ok(
      Buffer.compare(qemuReads(path, 'snapshot.id=2,snapshot.name=two'), two) === 0,
      'as of two',
    );
    t.ok(Buffer.compare(qemuReads(path), now) === 0, 'now');
    qemuImg('snapshot', '-a', 'one', path);
    t.ok(Buffer.compare(qemuReads(path), one) === 0, 'QEMU applies it');
    qemuImg('snapshot', '-d', 'one', path);
    qemuImg('snapshot', '-d', 'two', path);
    t.match(qemuCheck(path), { code: 0 });
    t.ok(Buffer.compare(qemuReads(path), one) === 0, 'QEMU deletes them');
  });

  t.test(`snapshots made by QEMU, used here: ${JSON.stringify(options)}`, qemuTest, async (t) => {
    const path = join(directory(t), 'a.qcow2');
    const list = Object.entries(options).map(
      ([name, value]) => `,${name}=${value === true ? 'on' : value}`,
    );
    qemuImg(
      'create',
      '-q',
      '-f',
      'qcow2',
      '-o',
      `lazy_refcounts=off${list.join('')}`.replace('lazy_refcounts=off,compat=0.10', 'compat=0.10'),
      path,
      '8M',
    );
    const packed = options.cluster_size === '2M' ? '2M' : '256k';
    qemuIo(path, 'write -P 1 100k 3000k', `write -c -P 2 4M ${packed}`);
    qemuImg('snapshot', '-c', 'one', path);
    const one = qemuReads(path);
    qemuIo(path, 'write -P 3 4090k 50k', 'write -z 512k 1M', 'discard 2M 200k');
    qemuImg('snapshot', '-c', 'two', path);
    const two = qemuReads(path);
    qemuIo(path, 'write -P 4 3000k 70k');
    const now = qemuReads(path);
    const storage = loadFile(path);
    const disk = await open(storage, true);
    t.same(lists(disk), qemuLists(path));
    const asOne = await disk.snapshots.open('one');
    const asTwo = await disk.snapshots.open({ id: '2' });
    t.ok(Buffer.compare(await content(asOne), one) === 0, 'as of one');
    t.ok(Buffer.compare(await content(asTwo), two) === 0, 'as of two');
    t.ok(Buffer.compare(await content(disk), now) === 0, 'now');
    await disk.snapshots.apply('one');
    t.ok(Buffer.compare(await content(disk), one) === 0, 'applied');
    await disk.write(filled(100_000, 9), 1_000_000);
    t.ok(Buffer.compare(await content(asOne), one) === 0, 'still as of one');
    const changed = await content(disk);
    await disk.snapshots.delete('one');
    await t.rejects(asOne.read(new Uint8Array(1), 0), { code: 'CLOSED' });
    t.ok(Buffer.compare(await content(asTwo), two) === 0, 'still as of two');
    await disk.close();
    await saveFile(storage, path);
    t.match(qemuCheck(path), { code: 0 });
    t.ok(Buffer.compare(qemuReads(path, 'two'), two) === 0, 'QEMU as of two');
    t.ok(Buffer.compare(qemuReads(path), changed) === 0, 'QEMU now');
  });
}

for (const compat of ['0.10', '1.1']) {
  t.test(`the table has the bytes of QEMU's: compat ${compat}`, qemuTest, async (t) => {
    const dir = directory(t);
    const theirs = join(dir, 'theirs');
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `compat=${compat}`, theirs, '1G');
    const storage = loadFile(theirs);
    for (const name of ['', 'a', 'größer', '7']) {
      qemuImg('snapshot', '-c', name, theirs);
    }
    qemuImg('snapshot', '-d', 'a', theirs);
    qemuImg('snapshot', '-c', 'last', theirs);
    const disk = await open(storage, true);
    for (const name of ['', 'a', 'größer', '7']) {
      await disk.snapshots.create({ name });
    }
    await disk.snapshots.delete('a');
    await disk.snapshots.create({ name: 'last', date: new Date(1_700_000_000_123) });
    await disk.close();
    const ours = join(dir, 'ours');
    await saveFile(storage, ours);
    t.equal(table(ours), table(theirs));
    t.match(qemuImg('snapshot', '-l', ours), /last +0 B 2023-11-14/);
  });
}

t.test('a snapshot keeps the size of the disk', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', path, '3M');
  qemuIo(path, 'write -P 1 0 3M');
  qemuImg('snapshot', '-c', 'small', path);
  qemuImg('resize', '-q', path, '20M');
  qemuIo(path, 'write -P 2 2M 18M');
  qemuImg('snapshot', '-c', 'large', path);
  qemuImg('resize', '-q', '--shrink', path, '1M');
  const storage = loadFile(path);
  const disk = await open(storage, true);
  const large = await disk.snapshots.open('large');
  t.equal(large.size, 20 * 1024 * KIB);
  const expected = filled(20 * 1024 * KIB, 2);
  expected.fill(1, 0, 2048 * KIB);
  t.ok(Buffer.compare(await content(large), expected) === 0);
  await disk.snapshots.apply('large');
  t.equal(disk.size, 20 * 1024 * KIB);
  await disk.snapshots.apply('small');
  t.equal(disk.size, 3 * 1024 * KIB);
  const small = await content(disk);
  t.equal(
    small.findIndex((byte) => byte !== 1),
    -1,
  );
  await disk.close();
  await saveFile(storage, path);
  t.match(qemuCheck(path), { code: 0 });
  t.ok(Buffer.compare(qemuReads(path), small) === 0);
});

t.test('the VM state of a snapshot is kept, applied and freed', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  // A disk twice as large, cut in half afterwards: its second half looks like the state of a machine.
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', path, '8M');
  qemuIo(path, 'write -P 1 0 4M', 'write -P 2 4M 1M');
  qemuImg('snapshot', '-c', 'vm', path);
  qemuIo(path, 'write -z -u 4M 4M', 'write -P 3 0 1M');
  const image = new Editable(readFileSync(path));
  image.set64(24, 4096 * KIB);
  image.set64(image.snapshotTable + 40, 1000 * KIB);
  image.set64(image.snapshotTable + 48, 4096 * KIB);
  image.set64(image.snapshotTable + 56, 77n);
  const storage = newStorage();
  storage.write(image.bytes, 0);
  await saveFile(storage, path);
  t.match(qemuCheck(path), { code: 0 });
  const disk = await open(storage, true);
  t.match(disk.snapshots.list(), [{ vmStateSize: 1000 * KIB, diskSize: 4096 * KIB, icount: 77n }]);
  t.match(qemuLists(path), ['1 vm 0.977 MiB']);
  await disk.snapshots.create({ name: 'disk only' });
  await disk.snapshots.apply('vm');
  await disk.snapshots.create({ name: 'from applied' });
  await disk.write(filled(100 * KIB, 5), 0);
  await disk.flush();
  await saveFile(storage, path);
  t.match(qemuCheck(path), { code: 0 });
  const applied = new Editable(readFileSync(path));
  t.equal(applied.u32(36), 4, 'the active L1 table has entries for the VM state');
  t.not(applied.u64(applied.l1 + 16), 0n, 'which lead to it');
  t.match(
    disk.snapshots.list().map(({ vmStateSize }) => vmStateSize),
    [1000 * KIB, 0, 0],
  );
  await disk.snapshots.delete('vm');
  await disk.snapshots.apply('disk only');
  await disk.snapshots.delete('from applied');
  const space = storage.size;
  await disk.write(filled(800 * KIB, 6), 0);
  t.equal(storage.size, space, 'what the VM state took is used again');
  await disk.close();
  await saveFile(storage, path);
  t.match(qemuCheck(path), { code: 0 });
});

t.test('snapshots beside bitmaps: taken and deleted, but not applied', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '1M');
  qemuImg('bitmap', '--add', path, 'b');
  const storage = loadFile(path);
  const disk = await open(storage, true);
  await disk.write(filled(1000, 1), 0);
  await disk.snapshots.create({ name: 'one' });
  await disk.write(filled(1000, 2), 500_000);
  await t.rejects(disk.snapshots.apply('one'), { code: 'UNSUPPORTED', problem: /bitmaps/ });
  await disk.snapshots.create({ name: 'two' });
  await disk.snapshots.delete('one');
  await disk.write(filled(1000, 3), 900_000);
  await disk.close();
  await saveFile(storage, path);
  t.match(qemuCheck(path), { code: 0 });
  t.same(qemuLists(path), ['2 two 0 B']);
  await using again = await open(storage);
  const ranges: number[] = [];
  for await (const { offset } of again.bitmaps.ranges('b')) {
    ranges.push(offset);
  }
  t.same(ranges, [0, 7 * 65536, 13 * 65536]);
});

t.test('unknown extra data stays', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '1M');
  qemuImg('snapshot', '-c', 'one', path);
  const image = new Editable(readFileSync(path));
  const at = image.snapshotTable;
  image.resize(at + 65536);
  image.set32(at + 36, 40);
  Buffer.from('unknown extras!!1one').copy(image.bytes, at + 64);
  const storage = newStorage();
  storage.write(image.bytes, 0);
  const disk = await open(storage, true);
  await disk.snapshots.create({ name: 'two' });
  await disk.close();
  await saveFile(storage, path);
  const after = new Editable(readFileSync(path));
  t.equal(
    after.bytes.toString('utf8', after.snapshotTable + 64, after.snapshotTable + 84),
    'unknown extras!!1one',
  );
  t.same(qemuLists(path), ['1 one 0 B', '2 two 0 B']);
  t.match(qemuCheck(path), { code: 0 });
});

for (const options of [LUKS, { ...LUKS, extended_l2: true }, { 'encrypt.format': 'aes' }]) {
  t.test(`encrypted: ${JSON.stringify(options)}`, qemuTest, async (t) => {
    const path = join(directory(t), 'a.qcow2');
    const storage = await newEncrypted(2048 * KIB, options);
    let disk = await openEncrypted(storage, { writable: true });
    await disk.write(filled(600 * KIB, 1), 100 * KIB);
    await disk.snapshots.create({ name: 'one' });
    await disk.write(filled(300_001, 2), 200_001);
    const now = await content(disk);
    const one = await disk.snapshots.open('one');
    const then = new Uint8Array(600 * KIB);
    await one.read(then, 100 * KIB);
    t.ok(then.every((byte) => byte === 1));
    await disk.flush();
    await saveFile(storage, path);
    await disk.close();
    t.equal(qemuCheckEncrypted(path, PASSPHRASE), 0);
    qemuDecrypt(path, PASSPHRASE, `${path}.raw`);
    t.ok(Buffer.compare(readFileSync(`${path}.raw`), now) === 0);
    const again = loadFile(path);
    disk = await openEncrypted(again, { writable: true });
    await disk.snapshots.apply('one');
    await disk.snapshots.delete('one');
    await disk.flush();
    await saveFile(again, path);
    await disk.close();
    t.equal(qemuCheckEncrypted(path, PASSPHRASE), 0);
    t.match(qemuIoEncrypted(path, PASSPHRASE, 'read -P 1 100k 600k'), /read 614400/);
  });
}
