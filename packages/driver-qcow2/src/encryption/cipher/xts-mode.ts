import {
  AES_BLOCK,
  type AesCipher,
  CIPHER_SECTOR,
  type CryptoPlatform,
  viewOf,
} from '@lamella/core';
import type { SectorMode } from './sector-mode.js';
import { xorInto } from './xor.js';

/** The polynomial x^128 + x^7 + x^2 + x + 1, without its first term. */
const FEEDBACK = 0x87;

/**
 * AES-XTS (IEEE 1619) on whole sectors. The tweaks of a run are laid out beside the data, so that OpenSSL
 * sees the run as one stretch of independent blocks.
 */
export class XtsMode implements SectorMode {
  readonly #data: AesCipher;
  readonly #tweak: AesCipher;
  /** Room for the tweaks of a run, kept between runs. */
  #tweaks = new Uint8Array(0);

  /**
   * @param key - the data key, then the tweak key: 32, 48 or 64 bytes
   */
  constructor(crypto: CryptoPlatform, key: Uint8Array) {
    this.#data = crypto.aes(key.subarray(0, key.length / 2));
    this.#tweak = crypto.aes(key.subarray(key.length / 2));
  }

  encrypt(sectors: Uint8Array, ivs: Uint8Array): void {
    this.#mixIn(sectors, ivs);
    xorInto(sectors, this.#data.encryptBlocks(sectors), this.#tweaks);
  }

  decrypt(sectors: Uint8Array, ivs: Uint8Array): void {
    this.#mixIn(sectors, ivs);
    xorInto(sectors, this.#data.decryptBlocks(sectors), this.#tweaks);
  }

  /** Computes the tweaks of all blocks and mixes them into the data. */
  #mixIn(sectors: Uint8Array, ivs: Uint8Array): void {
    if (this.#tweaks.length < sectors.length) {
      this.#tweaks = new Uint8Array(sectors.length);
    }
    fillTweaks(viewOf(this.#tweaks), viewOf(this.#tweak.encryptBlocks(ivs)), sectors.length);
    xorInto(sectors, sectors, this.#tweaks);
  }
}

/** From each sector's first tweak to those of its other blocks: each is the one before times x. */
function fillTweaks(tweaks: DataView, first: DataView, length: number): void {
  for (let start = 0, from = 0; start < length; start += CIPHER_SECTOR, from += AES_BLOCK) {
    let a = first.getInt32(from, true);
    let b = first.getInt32(from + 4, true);
    let c = first.getInt32(from + 8, true);
    let d = first.getInt32(from + 12, true);
    const end = start + CIPHER_SECTOR;
    for (let at = start; at < end; at += AES_BLOCK) {
      tweaks.setInt32(at, a, true);
      tweaks.setInt32(at + 4, b, true);
      tweaks.setInt32(at + 8, c, true);
      tweaks.setInt32(at + 12, d, true);
      const carry = (d >> 31) & FEEDBACK;
      d = (d << 1) | (c >>> 31);
      c = (c << 1) | (b >>> 31);
      b = (b << 1) | (a >>> 31);
      a = (a << 1) ^ carry;
    }
  }
}
