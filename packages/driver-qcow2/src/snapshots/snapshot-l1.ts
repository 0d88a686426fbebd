import type { Storage } from '@lamella/core';
import type { Geometry } from '../geometry.js';
import { L1_FORMAT, PointerTable } from '../tables/pointer-table.js';
import { assertL1, type Snapshot } from './table.js';

/**
 * Reads a snapshot's L1 table: at most 32 MiB.
 *
 * @param needed - entries that it must have at least
 * @throws LamellaError `CORRUPT`, `LIMIT_EXCEEDED`, `IO_ERROR`
 */
export function readL1(
  storage: Storage,
  { clusterSize }: Geometry,
  snapshot: Snapshot,
  needed: number,
): Promise<PointerTable> {
  assertL1(snapshot, needed, clusterSize, storage);
  const place = { offset: snapshot.l1Offset, length: snapshot.l1Size, clusterSize };
  return PointerTable.read(storage, L1_FORMAT, place);
}
