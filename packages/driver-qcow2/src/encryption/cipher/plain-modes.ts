import { AES_BLOCK, type AesCipher, CIPHER_SECTOR } from '@lamella/core';
import type { SectorMode } from './sector-mode.js';
import { xorInto } from './xor.js';

/** AES-ECB: equal blocks look equal. Weak, but QEMU makes such images. */
export class EcbMode implements SectorMode {
  readonly #aes: AesCipher;

  constructor(aes: AesCipher) {
    this.#aes = aes;
  }

  encrypt(sectors: Uint8Array): void {
    sectors.set(this.#aes.encryptBlocks(sectors));
  }

  decrypt(sectors: Uint8Array): void {
    sectors.set(this.#aes.decryptBlocks(sectors));
  }
}

/** AES-CTR: the initialisation vector, counted up as one big-endian number, gives the key stream. */
export class CtrMode implements SectorMode {
  readonly #aes: AesCipher;

  constructor(aes: AesCipher) {
    this.#aes = aes;
  }

  encrypt(sectors: Uint8Array, ivs: Uint8Array): void {
    const counters = new Uint8Array(sectors.length);
    for (let at = 0, iv = 0; at < counters.length; at += CIPHER_SECTOR, iv += AES_BLOCK) {
      fillCounters(counters.subarray(at, at + CIPHER_SECTOR), ivs.subarray(iv, iv + AES_BLOCK));
    }
    xorInto(sectors, sectors, this.#aes.encryptBlocks(counters));
  }

  decrypt(sectors: Uint8Array, ivs: Uint8Array): void {
    this.encrypt(sectors, ivs);
  }
}

/** Writes a counter and its successors. */
function fillCounters(counters: Uint8Array, first: Uint8Array): void {
  const counter = Uint8Array.from(first);
  for (let at = 0; at < counters.length; at += AES_BLOCK) {
    counters.set(counter, at);
    increment(counter);
  }
}

/** Adds one to a big-endian number. */
function increment(counter: Uint8Array): void {
  for (let at = counter.length - 1; at >= 0; at -= 1) {
    const next = ((counter[at] ?? 0) + 1) & 0xff;
    counter[at] = next;
    if (next !== 0) {
      return;
    }
  }
}
