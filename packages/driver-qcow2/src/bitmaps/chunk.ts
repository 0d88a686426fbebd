import type { Storage } from '@lamella/core';
import { type BitRun, bitRuns, clearBitsFrom } from './bit-runs.js';
import { type BitmapScale, bitCount } from './limits.js';
import { ALL_ONES, ALL_ZEROES } from './table.js';

/** Bits of one entry of a bitmap's table: a cluster of them, or bits that are all alike. */
export type Chunk = Uint8Array | typeof ALL_ZEROES | typeof ALL_ONES;

/**
 * The bits that a table entry stands for.
 *
 * @param clusterSize - bytes
 * @throws LamellaError `IO_ERROR`
 */
export async function readChunk(
  storage: Storage,
  entry: number,
  clusterSize: number,
): Promise<Chunk> {
  if (entry === ALL_ZEROES || entry === ALL_ONES) {
    return entry;
  }
  const bytes = new Uint8Array(clusterSize);
  await storage.read(bytes, entry);
  return bytes;
}

/** Which bits of a bitmap an entry of its table stands for. */
export interface ChunkBits {
  /** The first. */
  readonly first: number;
  /** How many are of use: the last entry may stand for more than the disk has. */
  readonly count: number;
}

/** The bits that belong to an entry. */
export function chunkBits(scale: BitmapScale, granularityBits: number, index: number): ChunkBits {
  const perChunk = scale.clusterSize * 8;
  const first = index * perChunk;
  const count = Math.min(perChunk, bitCount(scale.size, granularityBits) - first);
  return { first, count: Math.max(0, count) };
}

/** A chunk as bytes that may be changed. */
export function chunkBytes(chunk: Chunk, clusterSize: number): Uint8Array {
  return typeof chunk === 'number'
    ? new Uint8Array(clusterSize).fill(chunk === ALL_ONES ? 0xff : 0)
    : chunk;
}

/**
 * A chunk as it is best stored: without a cluster where all bits are alike. Bits that are of no use are 0.
 *
 * @param bytes - changed
 */
export function packedChunk(bytes: Uint8Array, count: number): Chunk {
  clearBitsFrom(bytes, count);
  const [first = 0] = bytes;
  if ((first !== 0 && first !== 0xff) || bytes.some((byte) => byte !== first)) {
    return bytes;
  }
  return first === 0 ? ALL_ZEROES : ALL_ONES;
}

/** The runs of set bits in a chunk, by their numbers within it. */
export function chunkRuns(chunk: Chunk, count: number): Iterable<BitRun> {
  if (typeof chunk !== 'number') {
    return bitRuns(chunk, count);
  }
  return chunk === ALL_ONES && count > 0 ? [{ first: 0, end: count }] : [];
}
