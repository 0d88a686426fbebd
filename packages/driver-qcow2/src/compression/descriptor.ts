import { COMPRESSED } from '../mapping/l2-entry.js';

const TWO_32 = 0x1_0000_0000;
const SECTOR = 512;
/** Highest bit that a host offset may use. */
const MAX_OFFSET_BITS = 56;

/**
 * Bits in the upper half of a compressed cluster's entry that belong to the offset but must be 0.
 *
 * @param clusterBits - 9..21
 */
export function reservedCompressedBits(clusterBits: number): number {
  const highBits = 62 - (clusterBits - 8) - 32;
  const usable = MAX_OFFSET_BITS - 32;
  return highBits > usable ? 2 ** highBits - 2 ** usable : 0;
}

/**
 * First host offset, in bytes, that the descriptor of a compressed cluster can't hold.
 *
 * @param clusterBits - 9..21
 */
export function compressedOffsetLimit(clusterBits: number): number {
  return 2 ** Math.min(MAX_OFFSET_BITS, 62 - (clusterBits - 8));
}

/** Where compressed data lie, in bytes of the file. */
export interface CompressedRange {
  readonly offset: number;
  /** From `offset` to the end of the last sector. */
  readonly length: number;
}

/**
 * Reads the host range from a compressed cluster descriptor (specification: "Compressed Clusters
 * Descriptor"; x = 62 - (cluster_bits - 8) bits of offset, the rest counts further sectors).
 *
 * @param high - upper half of the entry
 * @param low - lower half of the entry
 * @param clusterBits - 9..21
 */
export function compressedRange(high: number, low: number, clusterBits: number): CompressedRange {
  const offsetBits = 62 - (clusterBits - 8);
  const highBits = offsetBits - 32;
  const offsetHigh = high & (2 ** highBits - 1);
  const sectors = (high & 0x3fff_ffff) >>> highBits;
  const offset = offsetHigh * TWO_32 + (low >>> 0);
  return { offset, length: (sectors + 1) * SECTOR - (offset % SECTOR) };
}

/**
 * The entry for compressed data, in two halves (specification: "Compressed Clusters Descriptor"). It counts
 * whole sectors, so that a reader gets up to 511 bytes of whatever follows the data.
 *
 * @param range - bytes; `length` is less than a cluster, `offset` below {@link compressedOffsetLimit}
 * @param clusterBits - 9..21
 */
export function compressedDescriptor(
  range: CompressedRange,
  clusterBits: number,
): { readonly high: number; readonly low: number } {
  const highBits = 62 - (clusterBits - 8) - 32;
  const last = range.offset + range.length - 1;
  const sectors = Math.floor(last / SECTOR) - Math.floor(range.offset / SECTOR);
  const high = COMPRESSED + sectors * 2 ** highBits + Math.floor(range.offset / TWO_32);
  return { high, low: range.offset % TWO_32 };
}
