import type { CheckRun } from './check-run.js';

/**
 * What metadata other than L2 tables lies in a range of the file, so that a repair writes nothing over it.
 *
 * @returns its name, undefined for none
 */
export function overlapOf(run: CheckRun, offset: number, length: number): string | undefined {
  const { header, geometry, refcounts, snapshots } = run;
  const { clusterSize } = geometry;
  const hits = (start: number, bytes: number) =>
    bytes > 0 && start < offset + length && offset < start + bytes;
  if (hits(0, clusterSize)) {
    return 'header';
  }
  if (hits(header.l1Offset, header.l1Size * 8)) {
    return 'active L1 table';
  }
  if (hits(refcounts.offset, refcounts.length * 8)) {
    return 'refcount table';
  }
  for (let index = 0; index < refcounts.length; index += 1) {
    const block = refcounts.entry(index).offset;
    if (block !== 0 && hits(block, clusterSize)) {
      return 'refcount block';
    }
  }
  if (hits(header.snapshotsOffset, run.snapshotBytes)) {
    return 'snapshot table';
  }
  const inactive = snapshots.find(({ l1Offset, l1Size }) => hits(l1Offset, l1Size * 8));
  return inactive === undefined ? undefined : 'L1 table of a snapshot';
}
