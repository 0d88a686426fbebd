import {
  type CheckFinding,
  type CheckOptions,
  type CheckResult,
  MAX_FINDINGS,
  type Storage,
} from '@lamella/core';
import type { AllocatorState } from './allocator.js';
import type { Geometry } from './geometry.js';
import { type ScanResult, scanImage } from './scan.js';

/** What a check of a QED image gives. */
export interface CheckOutcome {
  /** The verdict, in the counts of `qemu-img check`. */
  readonly result: CheckResult;
  /** Which clusters may be given out now; undefined while the tables can't be relied on. */
  readonly allocation: AllocatorState | undefined;
}

/**
 * Checks an image whose changes are all in the storage, and repairs it if asked to. `leaks` and `all`
 * repair alike, as in QEMU 7.2: entries that point where nothing can be are cleared; clusters that are
 * referred to twice stay, since nobody can tell whose they are. Leaked clusters stay counted as leaks:
 * QED has no record of free space, so they are only known for as long as the image is open.
 *
 * @param imageSize - bytes of the guest's disk
 * @throws LamellaError as {@link scanImage}
 */
export async function checkImage(
  storage: Storage,
  geometry: Geometry,
  imageSize: number,
  options: CheckOptions,
): Promise<CheckOutcome> {
  const { signal, onProgress } = options;
  const repair = (options.repair ?? 'none') !== 'none';
  const first = await scanImage(storage, geometry, { repair, signal, onProgress });
  if (first.fixed > 0) {
    await storage.flush();
  }
  // What the cleared entries counted for, only another look can tell.
  const last =
    first.fixed > 0
      ? await scanImage(storage, geometry, { repair: false, signal, onProgress })
      : first;
  return {
    result: {
      corruptions: last.corruptions,
      leaks: last.leaks,
      checkErrors: 0,
      corruptionsFixed: first.fixed,
      leaksFixed: 0,
      totalClusters: Math.ceil(imageSize / geometry.clusterSize),
      allocatedClusters: last.dataClusters,
      fragmentedClusters: last.fragmentedClusters,
      compressedClusters: 0,
      findings: [
        ...first.findings,
        ...leakFindings(last, geometry.fileEnd(storage.size), geometry.clusterSize),
      ].slice(0, MAX_FINDINGS),
    },
    allocation: allocationAfter(storage, geometry, first, last),
  };
}

/** What may be given out after a check. */
function allocationAfter(
  storage: Storage,
  geometry: Geometry,
  first: ScanResult,
  last: ScanResult,
): AllocatorState | undefined {
  if (last.corruptions > 0) {
    return undefined;
  }
  if (first.fixed > 0) {
    // What a cleared entry referred to may still be of use to somebody: nothing is reused.
    return { end: geometry.fileEnd(storage.size), free: [] };
  }
  return { end: last.end, free: last.leakedRuns, more: last.moreRuns };
}

function leakFindings(
  { leakedRuns, end }: ScanResult,
  fileEnd: number,
  clusterSize: number,
): CheckFinding[] {
  const tail = { offset: end, count: Math.max(0, (fileEnd - end) / clusterSize) };
  return (tail.count === 0 ? leakedRuns : [...leakedRuns, tail]).map(({ offset, count }) => ({
    kind: 'leak',
    message: count === 1 ? 'nothing uses a cluster' : `nothing uses ${count} clusters`,
    offset,
    fixed: false,
  }));
}
