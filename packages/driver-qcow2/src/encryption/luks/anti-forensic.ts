import { type CryptoPlatform, type HashName, viewOf } from '@lamella/core';
import { xorInto } from '../cipher/xor.js';

/**
 * Splits a key into stripes, all of which are needed to get it back, so that wiping any of them destroys
 * it (LUKS1 on-disk format, section 2.4).
 *
 * @returns `key.length * stripes` bytes
 */
export function afSplit(
  crypto: CryptoPlatform,
  hash: HashName,
  key: Uint8Array,
  stripes: number,
): Uint8Array {
  const { length } = key;
  const material = new Uint8Array(length * stripes);
  material.set(crypto.randomBytes(length * (stripes - 1)));
  const state = mixStripes(crypto, hash, material, length, stripes - 1);
  xorInto(material.subarray(length * (stripes - 1)), key, state);
  state.fill(0);
  return material;
}

/**
 * Puts a key together from its stripes.
 *
 * @param length - bytes of the key
 */
export function afMerge(
  crypto: CryptoPlatform,
  hash: HashName,
  material: Uint8Array,
  length: number,
  stripes: number,
): Uint8Array {
  const state = mixStripes(crypto, hash, material, length, stripes - 1);
  xorInto(state, state, material.subarray(length * (stripes - 1), length * stripes));
  return state;
}

function mixStripes(
  crypto: CryptoPlatform,
  hash: HashName,
  material: Uint8Array,
  length: number,
  count: number,
): Uint8Array {
  const state = new Uint8Array(length);
  for (let stripe = 0; stripe < count; stripe += 1) {
    xorInto(state, state, material.subarray(stripe * length, (stripe + 1) * length));
    diffuse(crypto, hash, state);
  }
  return state;
}

/** Replaces each digest-sized block by the hash of its number and itself, cut to the block. */
function diffuse(crypto: CryptoPlatform, hash: HashName, state: Uint8Array): void {
  const number = new Uint8Array(4);
  const view = viewOf(number);
  for (let at = 0, index = 0; at < state.length; index += 1) {
    view.setUint32(0, index);
    const size = Math.min(state.length - at, digestLength(hash));
    const block = state.subarray(at, at + size);
    block.set(crypto.digest(hash, [number, block]).subarray(0, size));
    at += size;
  }
}

const DIGEST_LENGTHS: Readonly<Record<HashName, number>> = {
  md5: 16,
  ripemd160: 20,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

function digestLength(hash: HashName): number {
  return DIGEST_LENGTHS[hash];
}
