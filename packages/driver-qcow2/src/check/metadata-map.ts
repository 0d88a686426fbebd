import type { CheckRun } from './check-run.js';

/** A range of the file, in bytes. */
interface Region {
  readonly start: number;
  readonly end: number;
}

/**
 * Where metadata other than L2 tables lies, so that a repair writes nothing over it. A question costs the same
 * however much there is, and however it overlaps.
 */
export class MetadataMap {
  readonly #starts: Float64Array;
  /** The furthest end of a region and those that start before it. */
  readonly #reach: Float64Array;

  constructor(run: CheckRun) {
    const regions = [...regionsOf(run)].sort((a, b) => a.start - b.start);
    this.#starts = Float64Array.from(regions, ({ start }) => start);
    let reach = 0;
    this.#reach = Float64Array.from(regions, ({ end }) => {
      reach = Math.max(reach, end);
      return reach;
    });
  }

  /** Whether metadata lies in a range of the file. */
  touches(offset: number, length: number): boolean {
    const before = this.#startingBefore(offset + length);
    return before > 0 && (this.#reach[before - 1] ?? 0) > offset;
  }

  #startingBefore(end: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? 0) < end) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

function* regionsOf({ header, geometry, refcounts, snapshots, snapshotBytes }: CheckRun) {
  const { clusterSize } = geometry;
  yield region(0, clusterSize);
  yield region(header.l1Offset, header.l1Size * 8);
  yield region(refcounts.offset, refcounts.length * 8);
  for (let index = 0; index < refcounts.length; index += 1) {
    const { offset } = refcounts.entry(index);
    if (offset !== 0) {
      yield region(offset, clusterSize);
    }
  }
  yield region(header.snapshotsOffset, snapshotBytes);
  for (const { l1Offset, l1Size } of snapshots) {
    yield region(l1Offset, l1Size * 8);
  }
}

function region(start: number, length: number): Region {
  // One without bytes would count for a range around its start.
  return { start, end: length > 0 ? start + length : 0 };
}
