import { join } from 'node:path';
import { MemoryStorage, type OptionValue, viewOf } from '@lamella/core';
import t from 'tap';
import { driver, newImage } from './support/disks.js';
import { directory, loadFile, qemuCheck, qemuImg, qemuTest, saveFile } from './support/qemu.js';

const M = 1024 * 1024;
const UNKNOWN = 0x1234_5678;
const BACKING = { location: 'base.img', format: 'raw' };

interface Extension {
  readonly type: number;
  readonly data: Uint8Array;
}

/** The first bytes of a storage. */
function head(storage: MemoryStorage, length = 4096): Uint8Array {
  const bytes = new Uint8Array(length);
  storage.read(bytes, 0);
  return bytes;
}

/** Header extensions, read independently of the driver. */
function extensionsOf(bytes: Uint8Array): Extension[] {
  const view = viewOf(bytes);
  const found: Extension[] = [];
  let at = view.getUint32(4) === 2 ? 72 : view.getUint32(100);
  while (view.getUint32(at) !== 0) {
    const length = view.getUint32(at + 4);
    found.push({ type: view.getUint32(at), data: bytes.slice(at + 8, at + 8 + length) });
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return found;
}

/**
 * Puts another header in front of an image without backing file: more or fewer fields, and an unknown
 * extension before those that are there.
 */
function reshape(storage: MemoryStorage, headerLength: number, fields: Uint8Array): void {
  const bytes = head(storage);
  const view = viewOf(bytes);
  const old = view.getUint32(4) === 2 ? 72 : view.getUint32(100);
  const extensions = bytes.slice(old, 2048);
  const result = new Uint8Array(4096);
  result.set(bytes.subarray(0, Math.min(old, headerLength)));
  result.set(fields, headerLength - fields.length);
  if (view.getUint32(4) === 3) {
    viewOf(result).setUint32(100, headerLength);
  }
  const at = viewOf(result);
  at.setUint32(headerLength, UNKNOWN);
  at.setUint32(headerLength + 4, 5);
  result.set(new TextEncoder().encode('hello'), headerLength + 8);
  // Padding need not be zeroes.
  result.fill(0xaa, headerLength + 13, headerLength + 16);
  result.set(extensions, headerLength + 16);
  storage.write(result, 0);
}

async function rename(storage: MemoryStorage, backing: typeof BACKING | undefined): Promise<void> {
  const image = await driver.open(storage, { writable: true });
  await image.setBacking?.(backing);
  await image.close();
}

const NO_FIELDS = new Uint8Array(0);
const SHAPES: readonly {
  readonly name: string;
  readonly options: Record<string, OptionValue>;
  readonly length: number;
  readonly fields: Uint8Array;
}[] = [
  { name: 'version 2', options: { compat: '0.10' }, length: 72, fields: NO_FIELDS },
  { name: '104 bytes, before compression types', options: {}, length: 104, fields: NO_FIELDS },
  { name: '112 bytes', options: {}, length: 112, fields: NO_FIELDS },
  {
    name: 'a field of a later version in the padding',
    options: { compression_type: 'zstd' },
    length: 112,
    fields: Uint8Array.of(0, 0, 0, 4, 5, 6, 7),
  },
  {
    name: 'fields of a later version behind',
    options: { extended_l2: true, lazy_refcounts: true },
    length: 144,
    fields: Uint8Array.from({ length: 32 }, (_, i) => i),
  },
];

for (const { name, options, length, fields } of SHAPES) {
  t.test(`a rewritten header keeps what it had: ${name}`, async (t) => {
    const storage = await newImage(M, options);
    reshape(storage, length, fields);
    const before = head(storage);
    const known = extensionsOf(before);
    t.equal(known[0]?.type, UNKNOWN);

    await rename(storage, BACKING);
    const named = head(storage);
    const image = await driver.open(storage, { writable: false });
    t.same(image.references.backing, BACKING);
    t.same(named.slice(length - fields.length, length), fields, 'additional fields');
    t.same(
      extensionsOf(named).filter(({ type }) => type !== 0xe2792aca),
      known,
      'extensions',
    );
    const view = viewOf(named);
    if (length > 72) {
      t.equal(view.getUint32(100), length, 'header_length');
    }
    const nameAt = view.getUint32(12);
    t.equal(
      new TextDecoder().decode(named.subarray(nameAt, nameAt + view.getUint32(16))),
      'base.img',
    );
    const end = nameAt + view.getUint32(16);
    t.ok(
      named.subarray(end).every((byte) => byte === 0),
      'nothing is behind the name',
    );

    await rename(storage, undefined);
    const unnamed = head(storage);
    t.same(extensionsOf(unnamed), known);
    t.same(
      [...unnamed.subarray(8, 20)],
      Array.from({ length: 12 }, () => 0),
      'no backing file',
    );
    const same = (bytes: Uint8Array) => [...bytes.subarray(20, length)];
    t.same(same(unnamed), same(before), 'all other fields are as they were');
  });

  t.test(`QEMU reads it: ${name}`, qemuTest, async (t) => {
    const path = join(directory(t), 'a.qcow2');
    const storage = await newImage(M, options);
    reshape(storage, length, fields);
    await saveFile(storage, path);
    const before = qemuImg('info', '--output=json', path);
    await rename(storage, BACKING);
    await rename(storage, undefined);
    await saveFile(storage, path);
    t.equal(qemuImg('info', '--output=json', path), before);
    t.equal(qemuCheck(path).code, 0);
    // And the other way round: a header that QEMU wrote with what it did not know either.
    qemuImg('rebase', '-u', '-b', 'base.img', '-F', 'raw', path);
    const rewritten = loadFile(path);
    const image = await driver.open(rewritten, { writable: false });
    t.same(image.references.backing, BACKING);
    t.ok(extensionsOf(head(rewritten)).some(({ type }) => type === UNKNOWN));
    await rename(rewritten, undefined);
    await saveFile(rewritten, path);
    t.equal(qemuCheck(path).code, 0);
  });
}

t.test('feature bits over a rewrite', async (t) => {
  const storage = await newImage(M);
  const bits = (at: number) => [...head(storage).subarray(at, at + 8)];
  const unknown = [0x80, 0, 0, 0, 0, 0, 0x10, 0];
  storage.write(Uint8Array.from(unknown), 80);
  storage.write(Uint8Array.from(unknown), 88);
  await (await driver.open(storage, { writable: false })).close();
  t.same(bits(88), unknown, 'nothing is cleared by reading');
  await rename(storage, BACKING);
  t.same(bits(80), unknown, 'unknown compatible features stay');
  t.same(bits(88), [0, 0, 0, 0, 0, 0, 0, 0], 'unknown autoclear features go');
});

t.test('a header that grows out of the first cluster is refused', async (t) => {
  const storage = await newImage(M, { cluster_size: 512 });
  const before = head(storage);
  const image = await driver.open(storage, { writable: true });
  await t.rejects(image.setBacking?.({ location: 'x'.repeat(500) }) ?? Promise.resolve(), {
    code: 'LIMIT_EXCEEDED',
  });
  await image.close();
  t.same(head(storage), before, 'nothing was written');
});

t.test('headers that a data file adds to', async (t) => {
  const storage = new MemoryStorage({ location: 'a.qcow2' });
  const data = new MemoryStorage();
  const openDataFile = async () => data;
  await driver.create(storage, {
    size: M,
    options: { data_file: 'a.data' },
    openDataFile,
  });
  storage.write(Uint8Array.of(0x80), 88);
  const open = (writable: boolean) => driver.open(storage, { writable, openDataFile });
  const image = await open(true);
  await image.setBacking?.(BACKING);
  await image.close();
  const after = await open(false);
  t.same(after.references, { backing: BACKING, dataFile: { location: 'a.data' } });
  t.equal(head(storage)[88], 0);
});
