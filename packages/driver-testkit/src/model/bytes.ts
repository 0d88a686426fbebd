import type { Storage } from '@lamella/core';

const WORD = 4;

/**
 * Bytes that tell where they belong: another value for another seed or another position, never zero. A
 * cluster that ends up in a wrong place, or a byte that ends up one off, is noticed.
 *
 * @param seed - whose write it is
 * @param offset - position of the first byte on the disk
 */
export function pattern(seed: number, offset: number, length: number): Uint8Array {
  const first = Math.floor(offset / WORD);
  const words = new Uint32Array(Math.ceil((offset + length) / WORD) - first);
  const mix = Math.imul(seed + 1, 0x85ebca6b);
  for (let i = 0; i < words.length; i += 1) {
    const hash = Math.imul((first + i) ^ mix, 0x9e3779b1);
    words[i] = (hash ^ (hash >>> 15)) | 0x01010101;
  }
  return new Uint8Array(words.buffer, offset - first * WORD, length);
}

/** Whether two arrays hold the same bytes. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

/** Where two arrays differ first, or undefined where they don't. */
export function firstDifference(left: Uint8Array, right: Uint8Array): string | undefined {
  if (left.length !== right.length) {
    return `lengths ${left.length} and ${right.length}`;
  }
  if (sameBytes(left, right)) {
    return undefined;
  }
  const at = left.findIndex((byte, i) => byte !== right[i]);
  const differing = left.reduce((sum, byte, i) => sum + (byte === right[i] ? 0 : 1), 0);
  return `byte ${at} is ${left[at]}, not ${right[at]} (${differing} bytes differ)`;
}

/** A small deterministic generator (mulberry32) for choices that a printed seed has to repeat. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * All bytes of a storage.
 *
 * @throws LamellaError as `Storage.read`
 */
export async function storageContent(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.size);
  await storage.read(bytes, 0);
  return bytes;
}
