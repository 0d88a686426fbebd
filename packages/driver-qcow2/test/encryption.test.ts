import { type ErrorCode, isLamellaError, MemoryStorage, viewOf } from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import t from 'tap';
import { content, filled } from './support/disks.js';
import {
  cryptoDriver,
  LUKS,
  newEncrypted,
  openEncrypted,
  PASSPHRASE,
} from './support/encrypted.js';

const SIZE = 1024 * 1024;

async function image(storage: MemoryStorage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.size);
  storage.read(bytes, 0);
  return bytes;
}

/** Where the LUKS header and its pointer in the qcow2 header are. */
function find(bytes: Uint8Array): { readonly luks: number; readonly pointer: number } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    luks: buffer.indexOf(Buffer.from('LUKS\xba\xbe', 'latin1')),
    pointer: buffer.indexOf(Buffer.from('0537be77', 'hex')) + 8,
  };
}

t.test('passphrases: none, wrong, right, as bytes', async (t) => {
  const storage = await newEncrypted(SIZE);
  await t.rejects(cryptoDriver.open(storage, { writable: false }), { code: 'PASSPHRASE_REQUIRED' });
  for (const passphrase of ['', 'correct hors', 'correct horse ', filled(13, 0x63)]) {
    await t.rejects(cryptoDriver.open(storage, { writable: false, passphrase }), {
      code: 'WRONG_PASSPHRASE',
    });
  }
  const bytes = new TextEncoder().encode(PASSPHRASE);
  const opened = await cryptoDriver.open(storage, { writable: false, passphrase: bytes });
  t.match(opened.options, {
    encrypted: true,
    'encrypt.format': 'luks',
    'encrypt.cipher-alg': 'aes-256',
    'encrypt.cipher-mode': 'xts',
    'encrypt.ivgen-alg': 'plain64',
    'encrypt.hash-alg': 'sha256',
    'encrypt.slots': '0',
    'encrypt.uuid': /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  });
  await opened.close();
  await t.rejects(new Qcow2Driver([]).open(storage, { writable: false, passphrase: PASSPHRASE }), {
    code: 'UNSUPPORTED',
  });
});

t.test('an image is checked without its passphrase', async (t) => {
  for (const options of [LUKS, { 'encrypt.format': 'aes' }]) {
    const storage = await newEncrypted(SIZE, options);
    const disk = await openEncrypted(storage, { writable: true });
    await disk.write(filled(100, 1), 0);
    await disk.flush();
    const image = await cryptoDriver.open(storage, { writable: false, forCheck: true });
    t.match(await image.check?.({}), { corruptions: 0, leaks: 0 });
    await disk.close();
  }
});

t.test('compressed clusters are refused: QEMU would not cipher them', async (t) => {
  const storage = await newEncrypted(SIZE);
  const image = await cryptoDriver.open(storage, { writable: true, passphrase: PASSPHRASE });
  t.equal(image.compressor, undefined);
  await image.close();
});

t.test('create options that make no sense', async (t) => {
  const cases: readonly [Record<string, string | boolean>, string | undefined, ErrorCode][] = [
    [{ 'encrypt.format': 'luks' }, undefined, 'PASSPHRASE_REQUIRED'],
    [{ 'encrypt.format': 'aes' }, undefined, 'PASSPHRASE_REQUIRED'],
    [{}, 'secret-word', 'INVALID_ARGUMENT'],
    [{ 'encrypt.cipher-alg': 'aes-128' }, 'secret-word', 'INVALID_ARGUMENT'],
    [{ 'encrypt.format': 'aes', 'encrypt.hash-alg': 'sha1' }, 'secret-word', 'INVALID_ARGUMENT'],
    [{ encryption: true, 'encrypt.format': 'luks' }, 'secret-word', 'INVALID_ARGUMENT'],
    [{ ...opt('cipher-alg', 'serpent-256') }, 'secret-word', 'INVALID_ARGUMENT'],
    [{ ...opt('cipher-mode', 'lrw') }, 'secret-word', 'INVALID_ARGUMENT'],
    [{ ...opt('ivgen-alg', 'benbi') }, 'secret-word', 'INVALID_ARGUMENT'],
    [{ ...opt('iter-time', '0') }, 'secret-word', 'INVALID_ARGUMENT'],
    [
      { ...opt('cipher-alg', 'aes-192'), 'encrypt.cipher-mode': 'cbc' },
      'secret-word',
      'UNSUPPORTED',
    ],
  ];
  for (const [options, passphrase, code] of cases) {
    const storage = new MemoryStorage();
    const error = await cryptoDriver.create(storage, { size: SIZE, options, passphrase }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    t.ok(isLamellaError(error, code), `${JSON.stringify(options)}: ${error}`);
    t.notMatch(String(error), /secret-word/);
    t.equal(storage.size, 0);
  }
});

function opt(name: string, value: string): Record<string, string> {
  return { 'encrypt.format': 'luks', [`encrypt.${name}`]: value };
}

t.test('keys', async (t) => {
  const storage = await newEncrypted(SIZE);
  const opened = await cryptoDriver.open(storage, { writable: true, passphrase: PASSPHRASE });
  const amend = async (options: Record<string, string | number | boolean>): Promise<unknown> =>
    opened.amend?.({ 'encrypt.iter-time': 1, ...prefixed(options) }, {}).then(
      () => undefined,
      (error: unknown) => error,
    );
  const refused = async (
    options: Record<string, string | number | boolean>,
    code: ErrorCode,
  ): Promise<void> => {
    const error = await amend(options);
    t.ok(isLamellaError(error, code), `${JSON.stringify(options)}: ${error}`);
    t.notMatch(String(error), /secret-word|4711/);
  };
  await refused({}, 'INVALID_ARGUMENT');
  await refused({ state: 'active' }, 'INVALID_ARGUMENT');
  await refused({ state: 'active', 'new-secret': 4711 }, 'INVALID_ARGUMENT');
  await refused({ state: 'active', 'new-secret': 'secret-word', keyslot: 0 }, 'INVALID_ARGUMENT');
  await refused({ state: 'active', 'new-secret': 'secret-word', keyslot: 8 }, 'INVALID_ARGUMENT');
  await refused(
    { state: 'active', 'new-secret': 'secret-word', 'old-secret': 'no' },
    'WRONG_PASSPHRASE',
  );
  await refused({ state: 'inactive' }, 'INVALID_ARGUMENT');
  await refused({ state: 'inactive', keyslot: 1 }, 'INVALID_ARGUMENT');
  await refused({ state: 'inactive', keyslot: 0 }, 'UNSUPPORTED');
  await refused({ state: 'inactive', 'old-secret': PASSPHRASE }, 'UNSUPPORTED');
  await refused({ state: 'inactive', 'old-secret': 'secret-word' }, 'WRONG_PASSPHRASE');
  await refused({ state: 'inactive', keyslot: 0, 'new-secret': 'secret-word' }, 'INVALID_ARGUMENT');
  for (let slot = 1; slot < 8; slot += 1) {
    t.equal(await amend({ state: 'active', 'new-secret': `word ${slot}` }), undefined);
  }
  await refused({ state: 'active', 'new-secret': 'secret-word' }, 'NO_SPACE');
  t.equal(
    await amend({ state: 'active', 'new-secret': 'forced', keyslot: 3, force: true }),
    undefined,
  );
  await t.rejects(openEncrypted(storage, { passphrase: 'word 3' }), { code: 'WRONG_PASSPHRASE' });
  for (const passphrase of [PASSPHRASE, 'word 7', 'forced']) {
    const again = await cryptoDriver.open(storage, { writable: false, passphrase });
    await again.close();
  }
  const before = await image(storage);
  t.equal(await amend({ state: 'inactive', 'old-secret': 'word 7' }), undefined);
  const after = await image(storage);
  const { luks } = find(after);
  const area = viewOf(after).getUint32(luks + 208 + 7 * 48 + 40) * 512 + luks;
  const end = area + 256_000;
  t.not(Buffer.compare(after.subarray(area, end), before.subarray(area, end)), 0, 'wiped');
  await opened.close();
});

function prefixed<T>(options: Record<string, T>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [`encrypt.${name}`, value]),
  );
}

t.test('every field of a hostile LUKS header is refused by a typed error, at once', async (t) => {
  const original = await image(await newEncrypted(SIZE));
  const { luks, pointer } = find(original);
  const slot = luks + 208;
  const u32 = (at: number, value: number) => (view: DataView) => view.setUint32(at, value);
  const text =
    (at: number, value: string, room = 32) =>
    (view: DataView) => {
      for (let i = 0; i < room; i += 1) {
        view.setUint8(at + i, i < value.length ? value.charCodeAt(i) : 0);
      }
    };
  const most = 0xffff_ffff;
  const cases: readonly [string, (view: DataView) => void, ErrorCode][] = [
    ['pointer unaligned', u32(pointer + 4, 1000), 'INVALID_HEADER'],
    ['pointer at 0', u32(pointer + 4, 0), 'INVALID_HEADER'],
    ['pointer behind the end', u32(pointer + 4, 0x7fff_0000), 'TRUNCATED'],
    ['pointer beyond 8 PiB', u32(pointer, most), 'LIMIT_EXCEEDED'],
    ['length 0', u32(pointer + 12, 0), 'INVALID_HEADER'],
    ['length too small for the slots', u32(pointer + 12, 4096), 'INVALID_HEADER'],
    ['length 4 GiB', u32(pointer + 12, most), 'LIMIT_EXCEEDED'],
    ['pointer too short', u32(pointer - 4, 8), 'INVALID_HEADER'],
    ['pointer missing', u32(pointer - 8, 0x1234_5678), 'INVALID_HEADER'],
    ['method 3', u32(32, 3), 'UNSUPPORTED'],
    ['magic', u32(luks, 0), 'INVALID_HEADER'],
    ['version', (view) => view.setUint16(luks + 6, 2), 'UNSUPPORTED'],
    ['cipher', text(luks + 8, 'serpent'), 'UNSUPPORTED'],
    ['cipher without end', text(luks + 8, 'a'.repeat(32)), 'INVALID_HEADER'],
    ['cipher with control characters', text(luks + 8, 'aes\n'), 'INVALID_HEADER'],
    ['mode', text(luks + 40, 'xts-random'), 'UNSUPPORTED'],
    ['mode without end', text(luks + 40, 'x'.repeat(32)), 'INVALID_HEADER'],
    ['hash', text(luks + 72, 'whirlpool'), 'UNSUPPORTED'],
    ['hash without end', text(luks + 72, 's'.repeat(32)), 'INVALID_HEADER'],
    ['payload within the header', u32(luks + 104, 1), 'INVALID_HEADER'],
    ['key of 0 bytes', u32(luks + 108, 0), 'UNSUPPORTED'],
    ['key of 63 bytes', u32(luks + 108, 63), 'UNSUPPORTED'],
    ['key of 4 GiB', u32(luks + 108, most), 'UNSUPPORTED'],
    ['digest', u32(luks + 112, 0x1234_5678), 'WRONG_PASSPHRASE'],
    ['digest salt', u32(luks + 132, 0x1234_5678), 'WRONG_PASSPHRASE'],
    ['digest of 0 iterations', u32(luks + 164, 0), 'INVALID_HEADER'],
    ['digest of 4 billion iterations', u32(luks + 164, most), 'LIMIT_EXCEEDED'],
    ['uuid without end', text(luks + 168, 'u'.repeat(40), 40), 'INVALID_HEADER'],
    ['slot state', u32(slot, 1), 'INVALID_HEADER'],
    ['slot inactive', u32(slot, 0xdead), 'WRONG_PASSPHRASE'],
    ['slot of 0 iterations', u32(slot + 4, 0), 'INVALID_HEADER'],
    ['slot of 4 billion iterations', u32(slot + 4, most), 'LIMIT_EXCEEDED'],
    ['slot salt', u32(slot + 8, 0x1234_5678), 'WRONG_PASSPHRASE'],
    ['slot in the header', u32(slot + 40, 1), 'INVALID_HEADER'],
    ['slot far away', u32(slot + 40, most), 'INVALID_HEADER'],
    ['slots overlap', u32(slot + 48 + 40, 9), 'INVALID_HEADER'],
    ['0 stripes', u32(slot + 44, 0), 'INVALID_HEADER'],
    ['4 billion stripes', u32(slot + 44, most), 'LIMIT_EXCEEDED'],
    ['more stripes than room', u32(slot + 44, 60_000), 'INVALID_HEADER'],
  ];
  for (const [name, damage, code] of cases) {
    const bytes = Uint8Array.from(original);
    damage(viewOf(bytes));
    const storage = MemoryStorage.from(bytes, { location: 'hostile.qcow2' });
    const started = Date.now();
    const error = await cryptoDriver.open(storage, { writable: true, passphrase: PASSPHRASE }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    t.ok(isLamellaError(error, code), `${name}: ${error}`);
    t.notMatch(String(error), PASSPHRASE);
    t.ok(Date.now() - started < 5000, 'in time');
  }
});

t.test('an image that takes many iterations opens when told that it may', async (t) => {
  const storage = await newEncrypted(SIZE);
  const open = (most: number) =>
    cryptoDriver.open(storage, {
      writable: false,
      passphrase: PASSPHRASE,
      options: { 'encrypt.max-iterations': most },
    });
  await t.rejects(open(999), { code: 'LIMIT_EXCEEDED' });
  await (await open(10_000_000)).close();
});

t.test('what is stored is not what was written', async (t) => {
  const storage = await newEncrypted(SIZE);
  const disk = await openEncrypted(storage, { writable: true });
  await disk.write(filled(SIZE, 0x58), 0);
  await disk.writeZeroes(1000, 5000, { unmap: false });
  await disk.flush();
  const stored = Buffer.from(await image(storage));
  t.equal(stored.indexOf(Buffer.alloc(32, 0x58)), -1);
  t.ok((await content(disk)).subarray(1000, 6000).every((byte) => byte === 0));
  const extents = [];
  for await (const extent of disk.extents()) {
    extents.push(extent);
  }
  t.strictSame(
    extents.map(({ kind, length, hostOffset }) => ({ kind, length, hostOffset })),
    [{ kind: 'data', length: SIZE, hostOffset: undefined }],
  );
  await disk.close();
});
