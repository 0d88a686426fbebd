import { CIPHER_SECTOR, type CryptoPlatform, type DataCipher } from '@lamella/core';
import { CbcMode } from './cbc-mode.js';
import type { CipherSpec } from './cipher-spec.js';
import { essiv, type IvGenerator, plain, plain64 } from './iv-generator.js';
import { CtrMode, EcbMode } from './plain-modes.js';
import type { SectorMode } from './sector-mode.js';
import { XtsMode } from './xts-mode.js';

/** Bytes that go through the cipher at once: enough to make calls cheap, few enough to stay in a cache. */
const RUN = 64 * 1024;

/** Ciphers sectors of 512 bytes; a sector's number is its position divided by 512. */
export class SectorCipher implements DataCipher {
  readonly #mode: SectorMode;
  readonly #ivs: IvGenerator;

  constructor(mode: SectorMode, ivs: IvGenerator) {
    this.#mode = mode;
    this.#ivs = ivs;
  }

  encrypt(buffer: Uint8Array, position: number): void {
    this.#inRuns(buffer, position, (run, ivs) => this.#mode.encrypt(run, ivs));
  }

  decrypt(buffer: Uint8Array, position: number): void {
    this.#inRuns(buffer, position, (run, ivs) => this.#mode.decrypt(run, ivs));
  }

  #inRuns(
    buffer: Uint8Array,
    position: number,
    cipher: (run: Uint8Array, ivs: Uint8Array) => void,
  ): void {
    for (let done = 0; done < buffer.length; done += RUN) {
      const run = buffer.subarray(done, done + RUN);
      const ivs = this.#ivs((position + done) / CIPHER_SECTOR, run.length / CIPHER_SECTOR);
      cipher(run, ivs);
    }
  }
}

/**
 * The cipher of a specification under a key.
 *
 * @param key - as many bytes as `keyLength(spec)`; not kept
 */
export function sectorCipher(
  crypto: CryptoPlatform,
  spec: CipherSpec,
  key: Uint8Array,
): SectorCipher {
  return new SectorCipher(sectorMode(crypto, spec, key), ivGenerator(crypto, spec, key));
}

function sectorMode(crypto: CryptoPlatform, { mode }: CipherSpec, key: Uint8Array): SectorMode {
  switch (mode) {
    case 'xts':
      return new XtsMode(crypto, key);
    case 'cbc':
      return new CbcMode(crypto.aes(key));
    case 'ecb':
      return new EcbMode(crypto.aes(key));
    case 'ctr':
      return new CtrMode(crypto.aes(key));
  }
}

function ivGenerator(crypto: CryptoPlatform, spec: CipherSpec, key: Uint8Array): IvGenerator {
  if (spec.ivHash !== undefined) {
    return essiv(crypto, spec.ivHash, key);
  }
  return spec.ivGenerator === 'plain' ? plain : plain64;
}
