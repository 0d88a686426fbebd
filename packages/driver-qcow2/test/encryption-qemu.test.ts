import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Disk, Storage } from '@lamella/core';
import { FileStorageDriver } from '@lamella/platform-node';
import t, { type Test } from 'tap';
import { content, filled, randomSource } from './support/disks.js';
import {
  cryptoDriver,
  newEncrypted,
  openEncrypted,
  PASSPHRASE,
  qemuAmend,
  qemuCheckEncrypted,
  qemuCreate,
  qemuDecrypt,
  qemuIoEncrypted,
  qemuOpens,
} from './support/encrypted.js';
import { directory, loadFile, qemuImg, qemuTest, saveFile } from './support/qemu.js';

const MIB = 1024 * 1024;
const FAST = 'encrypt.format=luks,encrypt.iter-time=10';

const CIPHERS = [
  ['aes-128', 'xts', 'plain64'],
  ['aes-192', 'xts', 'plain64'],
  ['aes-256', 'xts', 'plain64'],
  ['aes-256', 'xts', 'essiv'],
  ['aes-256', 'xts', 'plain'],
  ['aes-128', 'cbc', 'plain64'],
  ['aes-256', 'cbc', 'plain64'],
  ['aes-256', 'cbc', 'essiv'],
  ['aes-128', 'ecb', 'plain64'],
  ['aes-256', 'ctr', 'plain64'],
] as const;
const HASHES = ['sha256', 'md5', 'sha1', 'sha224', 'sha384', 'sha512', 'ripemd160'] as const;
const LAYOUTS: readonly Record<string, string>[] = [
  {},
  { cluster_size: '512' },
  { cluster_size: '2M' },
  { compat: '0.10' },
  { extended_l2: 'on' },
  { refcount_bits: '1' },
];

/** Every cipher, hash and layout once: they do not know of each other, and making an image takes QEMU seconds. */
const VARIANTS: readonly Record<string, string>[] = CIPHERS.map(([cipher, mode, iv], index) => ({
  'encrypt.cipher-alg': cipher,
  'encrypt.cipher-mode': mode,
  'encrypt.ivgen-alg': iv,
  ...(iv === 'essiv' ? { 'encrypt.ivgen-hash-alg': 'sha256' } : {}),
  'encrypt.hash-alg': HASHES[index % HASHES.length] ?? '',
  ...LAYOUTS[index % LAYOUTS.length],
}));

function qemuOptions(options: Record<string, string>): string {
  return Object.entries(options)
    .map(([name, value]) => `,${name}=${value}`)
    .join('');
}

/** Writes of odd places and lengths, the same for both programs. */
const WRITES = [
  { offset: 0, length: 512, value: 0x11 },
  { offset: 1000, length: 3, value: 0x22 },
  { offset: 65536 - 100, length: 200, value: 0x33 },
  { offset: 300_000, length: 150_001, value: 0x44 },
  { offset: MIB, length: 131072, value: 0x55 },
  { offset: MIB + 511, length: 514, value: 0x66 },
  { offset: 2 * MIB - 7, length: 7, value: 0x77 },
];

function expected(size = 2 * MIB): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const { offset, length, value } of WRITES) {
    bytes.fill(value, offset, offset + length);
  }
  return bytes;
}

async function writeAll(disk: Disk): Promise<void> {
  for (const { offset, length, value } of WRITES) {
    await disk.write(filled(length, value), offset);
  }
}

function qemuWrites(): string[] {
  return WRITES.map(({ offset, length, value }) => `write -P ${value} ${offset} ${length}`);
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

for (const variant of VARIANTS) {
  const name = qemuOptions(variant)
    .replaceAll(/,(encrypt\.)?/g, ' ')
    .trim();
  t.test(`${name}: QEMU reads ours, we read QEMU's`, qemuTest, async (t) => {
    const size = 3 * MIB + 512;
    const path = join(directory(t), 'disk.qcow2');
    qemuCreate(path, String(size), `${FAST}${qemuOptions(variant)}`);
    qemuIoEncrypted(path, PASSPHRASE, ...qemuWrites());
    const theirs = loadFile(path);
    const disk = await openEncrypted(loadFile(path));
    t.ok(equal(await content(disk), expected(size)), "we read QEMU's");
    await disk.close();

    const ours = await newEncrypted(size, {
      'encrypt.format': 'luks',
      'encrypt.iter-time': 1,
      ...variant,
    });
    const image = await cryptoDriver.open(ours, { writable: true, passphrase: PASSPHRASE });
    await image.close();
    const written = await openEncrypted(ours, { writable: true });
    await writeAll(written);
    t.ok(equal(await content(written), expected(size)), 'we read ours');
    await written.flush();
    await assertForQemu(t, ours, path, expected(size), 'ours');
    await written.close();
    await assertRandomRequests(t, loadFile(path), path, 'ours, random requests');
    await assertRandomRequests(t, theirs, path, "QEMU's, random requests");
  });
}

/** QEMU reads from an image what it is to hold, and finds nothing wrong with it. */
async function assertForQemu(
  t: Test,
  storage: Storage,
  path: string,
  wanted: Uint8Array,
  what: string,
): Promise<void> {
  await saveFile(storage, path);
  qemuDecrypt(path, PASSPHRASE, `${path}.raw`);
  t.ok(equal(readFileSync(`${path}.raw`), wanted), `${what}: QEMU reads it`);
  t.equal(qemuCheckEncrypted(path, PASSPHRASE), 0, `${what}: QEMU finds nothing wrong`);
}

/** Changes an image that holds what {@link expected} says. */
async function assertRandomRequests(
  t: Test,
  storage: Storage,
  path: string,
  what: string,
): Promise<void> {
  const disk = await openEncrypted(storage, { writable: true });
  const model = expected(disk.size);
  const random = randomSource(7);
  for (let step = 0; step < 60; step += 1) {
    const offset = Math.floor(random() * disk.size);
    const length = Math.min(disk.size - offset, Math.ceil(random() ** 3 * 300_000));
    if (random() < 0.15) {
      await disk.writeZeroes(offset, length, { unmap: random() < 0.5 });
      model.fill(0, offset, offset + length);
    } else {
      const byte = 1 + (step % 255);
      await disk.write(filled(length, byte), offset);
      model.fill(byte, offset, offset + length);
    }
  }
  t.ok(equal(await content(disk), model), `${what}: we read it`);
  await disk.flush();
  await assertForQemu(t, storage, path, model, what);
  await disk.close();
}

for (const options of [{ 'encrypt.format': 'aes' }, { encryption: true }] as const) {
  t.test(`legacy AES, ${Object.keys(options)[0]}`, qemuTest, async (t) => {
    const path = join(directory(t), 'disk.qcow2');
    for (const passphrase of ['short', 'longer than sixteen bytes']) {
      qemuCreate(path, '2M', 'encrypt.format=aes', passphrase);
      qemuIoEncrypted(path, passphrase, ...qemuWrites());
      const theirs = await openEncrypted(loadFile(path), { passphrase });
      t.ok(equal(await content(theirs), expected()), "we read QEMU's");
      t.match(theirs.layers[0]?.options, { encrypted: true, 'encrypt.format': 'aes' });
      await theirs.close();
      const storage = await newEncrypted(2 * MIB, options, passphrase);
      const ours = await openEncrypted(storage, { passphrase, writable: true });
      await writeAll(ours);
      await ours.flush();
      await saveFile(storage, path);
      await ours.close();
      qemuDecrypt(path, passphrase, `${path}.raw`);
      t.ok(equal(readFileSync(`${path}.raw`), expected()), 'QEMU reads ours');
      t.equal(qemuCheckEncrypted(path, passphrase), 0);
    }
  });
}

/** An image with the usual passphrase and nothing in it, made by QEMU once. */
let blank: Uint8Array | undefined;

function saveBlank(path: string): void {
  if (blank === undefined) {
    qemuCreate(path, '2M', FAST);
    blank = readFileSync(path);
  }
  writeFileSync(path, blank);
}

t.test('an overlay copies on write from an encrypted backing file', qemuTest, async (t) => {
  const at = directory(t);
  const base = join(at, 'base.qcow2');
  const top = join(at, 'top.qcow2');
  saveBlank(base);
  qemuIoEncrypted(base, PASSPHRASE, 'write -P 0x5a 0 2M');
  const storage = await newEncrypted(2 * MIB);
  const disk = await openEncrypted(storage, { writable: true, below: loadFile(base) });
  const bytes = filled(2 * MIB, 0x5a);
  for (const { offset, length, value } of WRITES) {
    await disk.write(filled(length, value), offset);
    bytes.fill(value, offset, offset + length);
  }
  t.ok(equal(await content(disk), bytes));
  await disk.flush();
  await saveFile(storage, top);
  await disk.close();
  const backing = `backing.driver=qcow2,backing.file.driver=file,backing.file.filename=${base}`;
  qemuImg(
    'convert',
    '--object',
    `secret,id=s,data=${PASSPHRASE}`,
    '--image-opts',
    '-O',
    'raw',
    `driver=qcow2,file.driver=file,file.filename=${top},encrypt.key-secret=s,${backing},backing.encrypt.key-secret=s`,
    `${top}.raw`,
  );
  t.ok(equal(readFileSync(`${top}.raw`), bytes));
});

t.test('compressed clusters are not ciphered, as by QEMU', qemuTest, async (t) => {
  const path = join(directory(t), 'disk.qcow2');
  saveBlank(path);
  qemuIoEncrypted(path, PASSPHRASE, 'write -c -P 0x41 0 64k', 'write -P 0x42 64k 64k');
  const disk = await openEncrypted(loadFile(path), { writable: true });
  const bytes = new Uint8Array(131072);
  await disk.read(bytes, 0);
  t.ok(bytes.subarray(0, 65536).every((byte) => byte === 0x41));
  t.ok(bytes.subarray(65536).every((byte) => byte === 0x42));
  await disk.write(filled(100, 0x43), 1000);
  await disk.read(bytes, 0);
  t.equal(bytes[999], 0x41);
  t.equal(bytes[1000], 0x43);
  t.equal(bytes[1100], 0x41);
  await disk.close();
});

t.test('keys are added and erased by either program', qemuTest, async (t) => {
  const path = join(directory(t), 'disk.qcow2');
  saveBlank(path);
  qemuIoEncrypted(path, PASSPHRASE, 'write -P 0x42 0 64k');
  qemuAmend(
    path,
    { s: PASSPHRASE, new: 'second' },
    'encrypt.state=active,encrypt.new-secret=new,encrypt.keyslot=5,encrypt.iter-time=10',
  );
  const storage = await new FileStorageDriver().open(path, { writable: true });
  const image = await cryptoDriver.open(storage, { writable: true, passphrase: 'second' });
  t.equal(image.options['encrypt.slots'], '0,5');
  await image.amend?.(
    { 'encrypt.state': 'active', 'encrypt.new-secret': 'third', 'encrypt.iter-time': 1 },
    {},
  );
  t.equal(image.options['encrypt.slots'], '0,1,5');
  t.ok(qemuOpens(path, 'third'));
  await image.amend?.({ 'encrypt.state': 'inactive', 'encrypt.old-secret': PASSPHRASE }, {});
  t.equal(image.options['encrypt.slots'], '1,5');
  t.notOk(qemuOpens(path, PASSPHRASE));
  t.ok(qemuOpens(path, 'second'));
  await image.amend?.({ 'encrypt.state': 'inactive', 'encrypt.keyslot': 5 }, {});
  t.notOk(qemuOpens(path, 'second'));
  await image.close();
  await storage.close();
  qemuAmend(
    path,
    { s: 'third', old: 'third', new: 'fourth' },
    'encrypt.state=active,encrypt.new-secret=new,encrypt.iter-time=10',
  );
  qemuAmend(path, { s: 'third', old: 'third' }, 'encrypt.state=inactive,encrypt.old-secret=old');
  await t.rejects(openEncrypted(loadFile(path), { passphrase: 'third' }), {
    code: 'WRONG_PASSPHRASE',
  });
  const disk = await openEncrypted(loadFile(path), { passphrase: 'fourth' });
  const bytes = new Uint8Array(65536);
  await disk.read(bytes, 0);
  t.ok(bytes.every((byte) => byte === 0x42));
  await disk.close();
  t.equal(qemuCheckEncrypted(path, 'fourth'), 0);
});

t.test('a file that is written in place goes on working in QEMU', qemuTest, async (t) => {
  const path = join(directory(t), 'disk.qcow2');
  const storage = await newEncrypted(MIB);
  await saveFile(storage, path);
  const info = qemuImg('info', path);
  t.match(info, /encrypted: yes/);
  t.match(info, /format: luks/);
  qemuIoEncrypted(path, PASSPHRASE, 'write -P 0x21 0 1M');
  const disk = await openEncrypted(loadFile(path));
  t.ok((await content(disk)).every((byte) => byte === 0x21));
  await disk.close();
  writeFileSync(path, '');
});
