const TWO_32 = 0x1_0000_0000;

/** Bit 63 of an entry, in its upper half: the cluster's refcount is exactly one. */
export const COPIED = 0x8000_0000;
/** Bit 62 of an entry, in its upper half: the cluster is compressed. */
export const COMPRESSED = 0x4000_0000;
/** Bit 0 of a standard descriptor: the cluster reads as zeroes (version 3 without subclusters). */
export const ZERO_FLAG = 1;
/** Bits 56-61 of a standard descriptor, in its upper half. */
const RESERVED_HIGH = 0x3f00_0000;
/** Bits 55-32 of a host offset. */
const OFFSET_HIGH = 0x00ff_ffff;

/** What an L2 entry says about its cluster. */
export const KIND = {
  unallocated: 0,
  data: 1,
  /** Reads as zeroes, no host cluster. */
  zero: 2,
  /** Reads as zeroes, host cluster reserved. */
  preallocated: 3,
  compressed: 4,
  /** Breaks the specification. */
  invalid: 5,
} as const;

/** A value of {@link KIND}. */
export type Kind = (typeof KIND)[keyof typeof KIND];

/** Host byte offset in a standard cluster descriptor (specification: "Cluster mapping"). */
export function hostOffset(high: number, low: number): number {
  return (high & OFFSET_HIGH) * TWO_32 + ((low & 0xffff_fe00) >>> 0);
}

/**
 * Whether a valid standard descriptor has a host cluster. Host offset 0 is one in an external data file; the
 * COPIED flag tells it from none.
 */
export function hasHost(high: number, low: number): boolean {
  return (high & (COPIED | OFFSET_HIGH)) !== 0 || (low & 0xffff_fe00) !== 0;
}

/** Upper half of an entry for a host cluster that it alone refers to. */
export function ownedHigh(host: number): number {
  return (Math.floor(host / TWO_32) | COPIED) >>> 0;
}

/** Lower half of an entry for a host cluster. */
export function ownedLow(host: number): number {
  return host % TWO_32;
}

/**
 * Classifies a standard (8-byte) entry.
 *
 * @param high - upper half
 * @param low - lower half
 * @param clusterSize - bytes
 * @param zeroFlag - whether bit 0 may be set
 * @param external - whether host clusters are in an external data file
 */
export function classify(
  high: number,
  low: number,
  clusterSize: number,
  zeroFlag: boolean,
  external: boolean,
): Kind {
  if ((high & COMPRESSED) !== 0) {
    return external ? KIND.invalid : KIND.compressed;
  }
  const zero = low & ZERO_FLAG;
  const belowCluster = low & (clusterSize - 1);
  if (belowCluster !== zero || (high & RESERVED_HIGH) !== 0 || (zero !== 0 && !zeroFlag)) {
    return KIND.invalid;
  }
  if ((high & OFFSET_HIGH) === 0 && low >>> 0 === zero) {
    if ((high & COPIED) === 0) {
      return zero === 0 ? KIND.unallocated : KIND.zero;
    }
    if (!external) {
      return KIND.invalid;
    }
  }
  return zero === 0 ? KIND.data : KIND.preallocated;
}
