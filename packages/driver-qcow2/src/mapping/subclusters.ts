import { classify, KIND, type Kind } from './l2-entry.js';

/** All 32 subclusters. */
export const ALL_SUBCLUSTERS = 0xffff_ffff;

/** Number of subclusters from `first` on whose bits are set in `mask`, without a gap. */
export function runLength(mask: number, first: number): number {
  const gaps = ~(mask >>> first) >>> 0;
  const lowest = gaps & -gaps;
  return Math.min(32 - first, lowest === 0 ? 32 : 31 - Math.clz32(lowest));
}

/**
 * Bits of the subclusters `first` to `last`.
 *
 * @param first - 0..31
 * @param last - `first`..31
 */
export function subclusterMask(first: number, last: number): number {
  return ((ALL_SUBCLUSTERS << first) & (ALL_SUBCLUSTERS >>> (31 - last))) >>> 0;
}

/** Lowest subcluster in a mask, 32 for none. */
export function lowestSubcluster(mask: number): number {
  return mask === 0 ? 32 : 31 - Math.clz32(mask & -mask);
}

/** Highest subcluster in a mask, -1 for none. */
export function highestSubcluster(mask: number): number {
  return 31 - Math.clz32(mask);
}

/**
 * Classifies an extended (16-byte) entry (specification: "Extended L2 Entries"). With a host cluster
 * it is `data` if any subcluster is allocated and `preallocated` otherwise; without one it is
 * `unallocated`, also if some subclusters read as zeroes, and `zero` if all do.
 *
 * @param zeroes - bits of the subclusters that read as zeroes
 * @param allocated - bits of the allocated subclusters
 * @param external - whether host clusters are in an external data file
 */
export function classifyExtended(
  high: number,
  low: number,
  zeroes: number,
  allocated: number,
  clusterSize: number,
  external: boolean,
): Kind {
  const kind = classify(high, low, clusterSize, false, external);
  if (kind === KIND.compressed) {
    return (zeroes | allocated) === 0 ? kind : KIND.invalid;
  }
  if (kind === KIND.invalid || (zeroes & allocated) !== 0) {
    return KIND.invalid;
  }
  if (kind === KIND.data) {
    return allocated === 0 ? KIND.preallocated : KIND.data;
  }
  if (allocated !== 0) {
    return KIND.invalid;
  }
  return zeroes >>> 0 === ALL_SUBCLUSTERS ? KIND.zero : KIND.unallocated;
}
