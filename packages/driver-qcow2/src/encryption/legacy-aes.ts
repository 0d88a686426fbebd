import type { CryptoPlatform, DataCipher } from '@lamella/core';
import { CbcMode } from './cipher/cbc-mode.js';
import { plain64 } from './cipher/iv-generator.js';
import { SectorCipher } from './cipher/sector-cipher.js';

/** Bytes of the key. */
const KEY_LENGTH = 16;

/**
 * The cipher of `crypt_method` 1: AES-128-CBC with the passphrase itself as key, cut or padded with zeroes.
 * Sectors are numbered by their place on the guest's disk. Nothing in the image tells a wrong passphrase
 * from the right one.
 */
export function legacyAes(crypto: CryptoPlatform, passphrase: Uint8Array): DataCipher {
  const key = new Uint8Array(KEY_LENGTH);
  key.set(passphrase.subarray(0, KEY_LENGTH));
  const cipher = new SectorCipher(new CbcMode(crypto.aes(key)), plain64);
  key.fill(0);
  return cipher;
}
