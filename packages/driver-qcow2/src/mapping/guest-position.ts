import type { Geometry } from '../geometry.js';

/** Where a guest offset is described. */
export interface GuestPosition {
  /** Index into the L1 table. */
  readonly l1Index: number;
  /** Which slice of the L2 table. */
  readonly sliceIndex: number;
  /** Which entry of the slice. */
  readonly entry: number;
  /** Byte within the cluster. */
  readonly inCluster: number;
}

/** Finds where a guest offset (bytes) is described. */
export function locate(geometry: Geometry, offset: number): GuestPosition {
  const l1Index = Math.floor(offset / geometry.l2Span);
  const inTable = offset - l1Index * geometry.l2Span;
  const sliceIndex = Math.floor(inTable / geometry.sliceSpan);
  const inSlice = inTable - sliceIndex * geometry.sliceSpan;
  const entry = Math.floor(inSlice / geometry.clusterSize);
  return { l1Index, sliceIndex, entry, inCluster: inSlice - entry * geometry.clusterSize };
}
