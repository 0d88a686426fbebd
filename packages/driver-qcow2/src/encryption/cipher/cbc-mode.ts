import { AES_BLOCK, type AesCipher, CIPHER_SECTOR } from '@lamella/core';
import type { SectorMode } from './sector-mode.js';
import { xorInto } from './xor.js';

/**
 * AES-CBC, each sector a chain of its own. Deciphering needs no chain: all blocks of a run go through the
 * cipher at once and are mixed with their predecessors afterwards.
 */
export class CbcMode implements SectorMode {
  readonly #aes: AesCipher;

  constructor(aes: AesCipher) {
    this.#aes = aes;
  }

  encrypt(sectors: Uint8Array, ivs: Uint8Array): void {
    for (let at = 0, iv = 0; at < sectors.length; at += CIPHER_SECTOR, iv += AES_BLOCK) {
      const sector = sectors.subarray(at, at + CIPHER_SECTOR);
      sector.set(this.#aes.encryptChain(sector, ivs.subarray(iv, iv + AES_BLOCK)));
    }
  }

  decrypt(sectors: Uint8Array, ivs: Uint8Array): void {
    const before = new Uint8Array(sectors.length);
    before.set(sectors.subarray(0, -AES_BLOCK), AES_BLOCK);
    for (let at = 0, iv = 0; at < sectors.length; at += CIPHER_SECTOR, iv += AES_BLOCK) {
      before.set(ivs.subarray(iv, iv + AES_BLOCK), at);
    }
    xorInto(sectors, this.#aes.decryptBlocks(sectors), before);
  }
}
