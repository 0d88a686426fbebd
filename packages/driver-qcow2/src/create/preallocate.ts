import {
  type LongOperation,
  type Preallocation,
  reserveZeroes,
  type Storage,
  throwIfAborted,
  viewOf,
} from '@lamella/core';
import type { Geometry } from '../geometry.js';
import { ownedHigh, ownedLow, ZERO_FLAG } from '../mapping/l2-entry.js';

/** Bytes of L2 tables that are written at once, at least one table. */
const CHUNK = 1024 * 1024;

/** Where the preallocated part of a new image is. */
export interface PreallocatedArea {
  readonly preallocation: Preallocation;
  /** Byte offset of the L2 tables, one behind the other. */
  readonly l2Offset: number;
  /** How many; 0 without preallocation. */
  readonly l2Tables: number;
  /** Byte offset of the data clusters, in the guest's order. */
  readonly dataOffset: number;
  readonly dataClusters: number;
}

/** How many clusters a preallocated disk takes, in bytes of the guest's disk and clusters of the file. */
export function preallocatedClusters(
  size: number,
  clusterSize: number,
  l2EntrySize: number,
): { readonly l2Tables: number; readonly dataClusters: number } {
  const dataClusters = Math.ceil(size / clusterSize);
  return { dataClusters, l2Tables: Math.ceil(dataClusters / (clusterSize / l2EntrySize)) };
}

/**
 * The L1 table of a new image whose L2 tables lie one behind the other.
 *
 * @returns as many entries as there are tables
 */
export function preallocatedL1(area: PreallocatedArea, clusterSize: number): Uint8Array {
  const bytes = new Uint8Array(area.l2Tables * 8);
  const view = viewOf(bytes);
  for (let index = 0; index < area.l2Tables; index += 1) {
    const table = area.l2Offset + index * clusterSize;
    view.setUint32(index * 8, ownedHigh(table));
    view.setUint32(index * 8 + 4, ownedLow(table));
  }
  return bytes;
}

/**
 * Writes the L2 tables and takes the data clusters' space. With standard entries the clusters are data of
 * zeroes, as QEMU has it; under a cipher zeroes stored would read as noise, so they are marked as zeroes
 * where the version can. With extended entries they are host clusters of which no subcluster is in use, so
 * that a backing file shows through.
 *
 * @throws LamellaError `ABORTED`, `NO_SPACE`, and as `Storage.write`
 */
export async function writePreallocated(
  storage: Storage,
  geometry: Geometry,
  area: PreallocatedArea,
  encrypted: boolean,
  operation: LongOperation,
): Promise<void> {
  const { clusterSize } = geometry;
  const { dataOffset, dataClusters, preallocation } = area;
  await writeL2Tables(storage, geometry, area, encrypted && geometry.hasZeroFlag, operation);
  const end = dataOffset + dataClusters * clusterSize;
  if (preallocation === 'falloc' || preallocation === 'full') {
    await reserveZeroes(storage, dataOffset, end, preallocation, operation);
  } else if (dataClusters > 0) {
    await storage.writeZeroes(dataOffset, end - dataOffset);
  }
}

async function writeL2Tables(
  storage: Storage,
  geometry: Geometry,
  area: PreallocatedArea,
  zeroes: boolean,
  { signal }: LongOperation,
): Promise<void> {
  const { clusterSize, l2EntrySize, extended } = geometry;
  const perTable = clusterSize / l2EntrySize;
  const perChunk = Math.max(1, Math.floor(CHUNK / clusterSize));
  const flag = zeroes && !extended ? ZERO_FLAG : 0;
  for (let table = 0; table < area.l2Tables; table += perChunk) {
    throwIfAborted(signal, storage.location);
    const count = Math.min(perChunk, area.l2Tables - table);
    const bytes = new Uint8Array(count * clusterSize);
    const view = viewOf(bytes);
    const first = table * perTable;
    const entries = Math.min(count * perTable, area.dataClusters - first);
    for (let entry = 0; entry < entries; entry += 1) {
      const host = area.dataOffset + (first + entry) * clusterSize;
      view.setUint32(entry * l2EntrySize, ownedHigh(host));
      view.setUint32(entry * l2EntrySize + 4, ownedLow(host) + flag);
    }
    await storage.write(bytes, area.l2Offset + table * clusterSize);
  }
}
