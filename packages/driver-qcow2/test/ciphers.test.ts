import { createCipheriv, createHash } from 'node:crypto';
import { CIPHER_SECTOR } from '@lamella/core';
import { NodeCrypto } from '@lamella/platform-node';
import t from 'tap';
import {
  type CipherSpec,
  modeText,
  parseModeText,
} from '#internal/encryption/cipher/cipher-spec.js';
import { plain, plain64 } from '#internal/encryption/cipher/iv-generator.js';
import { sectorCipher } from '#internal/encryption/cipher/sector-cipher.js';
import { afMerge, afSplit } from '#internal/encryption/luks/anti-forensic.js';
import { randomSource } from './support/disks.js';

const crypto = new NodeCrypto();
const XTS = { mode: 'xts', ivGenerator: 'plain64', ivHash: undefined } as const;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function bytes(length: number, seed: number): Uint8Array {
  const random = randomSource(seed);
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

/** Data unit of IEEE 1619's vectors 4 to 14: 00 to ff, twice. */
function counting(): Uint8Array {
  return Uint8Array.from({ length: CIPHER_SECTOR }, (_, i) => i & 0xff);
}

t.test('XTS agrees with the vectors of IEEE 1619-2007, annex B', async (t) => {
  const short = '2718281828459045235360287471352631415926535897932384626433832795';
  const long =
    '27182818284590452353602874713526624977572470936999595749669676273141592653589793238462643383279502884197169399375105820974944592';
  const vectors = [
    { number: 4, cipher: 'aes-128', key: short, sector: 0 },
    { number: 10, cipher: 'aes-256', key: long, sector: 0xff },
    { number: 14, cipher: 'aes-256', key: long, sector: 0xff_ffff_ffff },
  ] as const;
  const starts = new Map([
    [4, '27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c'],
    [10, '1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b'],
    [14, '64497e5a831e4a932c09be3e5393376daa599548b816031d224bbf50a818ed23'],
  ]);
  for (const { number, cipher, key, sector } of vectors) {
    const unit = counting();
    const xts = sectorCipher(crypto, { ...XTS, cipher }, Buffer.from(key, 'hex'));
    xts.encrypt(unit, sector * CIPHER_SECTOR);
    t.equal(hex(unit.subarray(0, 32)), starts.get(number), `vector ${number}`);
    xts.decrypt(unit, sector * CIPHER_SECTOR);
    t.equal(hex(unit), hex(counting()));
  }
});

t.test('a run of sectors is what OpenSSL makes of them one by one', async (t) => {
  const sectors = 300;
  const first = 2 ** 32 - 100;
  for (const [cipher, mode, length, name] of [
    ['aes-128', 'xts', 32, 'aes-128-xts'],
    ['aes-256', 'xts', 64, 'aes-256-xts'],
    ['aes-128', 'cbc', 16, 'aes-128-cbc'],
    ['aes-192', 'cbc', 24, 'aes-192-cbc'],
    ['aes-256', 'cbc', 32, 'aes-256-cbc'],
    ['aes-256', 'ctr', 32, 'aes-256-ctr'],
  ] as const) {
    const key = bytes(length, 1);
    const plainText = bytes(sectors * CIPHER_SECTOR, 2);
    const expected = new Uint8Array(plainText.length);
    for (let sector = 0; sector < sectors; sector += 1) {
      const iv = Buffer.alloc(16);
      iv.writeBigUInt64LE(BigInt(first + sector));
      const at = sector * CIPHER_SECTOR;
      const one = createCipheriv(name, key, iv).setAutoPadding(false);
      expected.set(one.update(plainText.subarray(at, at + CIPHER_SECTOR)), at);
    }
    const spec: CipherSpec = { cipher, mode, ivGenerator: 'plain64', ivHash: undefined };
    // At an odd address: callers' buffers start anywhere.
    const buffer = new Uint8Array(plainText.length + 3).subarray(3);
    buffer.set(plainText);
    const own = sectorCipher(crypto, spec, key);
    own.encrypt(buffer, first * CIPHER_SECTOR);
    t.equal(hex(buffer), hex(expected), `${name} enciphers`);
    own.decrypt(buffer, first * CIPHER_SECTOR);
    t.equal(hex(buffer), hex(plainText), `${name} deciphers`);
  }
});

t.test('ESSIV enciphers the sector number under the hash of the key', async (t) => {
  const key = bytes(32, 3);
  const salt = createHash('sha256').update(key).digest();
  const number = Buffer.alloc(16);
  number.writeBigUInt64LE(77n);
  const iv = createCipheriv('aes-256-ecb', salt, null).setAutoPadding(false).update(number);
  const unit = counting();
  const expected = createCipheriv('aes-256-cbc', key, iv).setAutoPadding(false).update(unit);
  const spec: CipherSpec = {
    cipher: 'aes-256',
    mode: 'cbc',
    ivGenerator: 'essiv',
    ivHash: 'sha256',
  };
  sectorCipher(crypto, spec, key).encrypt(unit, 77 * CIPHER_SECTOR);
  t.equal(hex(unit), hex(expected));
});

t.test('sector numbers have 64 bits, with plain 32', async (t) => {
  t.equal(
    hex(plain64(2 ** 32 + 1, 2)),
    `0100000001000000${'00'.repeat(8)}0200000001000000${'00'.repeat(8)}`,
  );
  t.equal(hex(plain(2 ** 32 + 1, 1)), `01000000${'00'.repeat(12)}`);
});

t.test('a key is split into stripes and comes back from all of them only', async (t) => {
  for (const hash of crypto.hashes) {
    const key = bytes(64, 4);
    const material = afSplit(crypto, hash, key, 50);
    t.equal(material.length, 64 * 50);
    t.equal(hex(afMerge(crypto, hash, material, 64, 50)), hex(key), hash);
    material[777] = (material[777] ?? 0) ^ 1;
    t.not(hex(afMerge(crypto, hash, material, 64, 50)), hex(key));
  }
});

t.test('modes are written as LUKS headers have them', async (t) => {
  for (const [text, length] of [
    ['xts-plain64', 64],
    ['xts-plain', 48],
    ['cbc-essiv:sha256', 32],
    ['cbc-essiv:md5', 16],
    ['ctr-plain64', 24],
  ] as const) {
    const spec = parseModeText(text, length);
    t.equal(spec === undefined ? undefined : modeText(spec), text);
  }
  for (const text of [
    '',
    'lrw-plain64',
    'xts-benbi',
    'cbc-essiv',
    'cbc-essiv:sha1',
    'cbc-plain:sha256',
    'xts-plain64-',
  ]) {
    t.equal(parseModeText(text, 32), undefined, text);
  }
  t.equal(parseModeText('xts-plain64', 33), undefined);
  t.equal(parseModeText('ecb', 32)?.mode, 'ecb');
});
