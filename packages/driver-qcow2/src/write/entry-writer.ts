import type { CachedSlice } from '@lamella/core';
import { compressedRange } from '../compression/descriptor.js';
import type { Geometry } from '../geometry.js';
import type { GuestPosition } from '../mapping/guest-position.js';
import type { L2Entries } from '../mapping/l2-entries.js';
import { hostOffset, KIND } from '../mapping/l2-entry.js';
import type { L2Tables } from '../mapping/l2-tables.js';
import type { ClusterSpace } from './cluster-space.js';

/** Where a run of L2 entries is, all within one slice. */
export interface EntryRun {
  /** Index into the L1 table. */
  readonly l1Index: number;
  readonly sliceIndex: number;
  /** First entry within the slice. */
  readonly entry: number;
  /** Number of entries. */
  readonly count: number;
}

/** The run of entries from a position on. */
export function entryRun(at: GuestPosition, count: number): EntryRun {
  return { l1Index: at.l1Index, sliceIndex: at.sliceIndex, entry: at.entry, count };
}

/** Changes L2 entries in memory and notes what they no longer refer to. */
export class EntryWriter {
  readonly tables: L2Tables;
  readonly entries: L2Entries;
  readonly geometry: Geometry;
  readonly space: ClusterSpace;
  readonly #clusterBits: number;

  constructor(tables: L2Tables, entries: L2Entries, geometry: Geometry, space: ClusterSpace) {
    this.tables = tables;
    this.entries = entries;
    this.geometry = geometry;
    this.space = space;
    this.#clusterBits = Math.log2(geometry.clusterSize);
  }

  /** Space that was set aside is not wanted; nothing ever pointed to it. */
  giveUp(offset: number, length: number): void {
    this.space.drop(offset, length, false);
  }

  /**
   * Notes that an entry is about to refer to its host space no longer.
   *
   * @param giveBack - the storage may be told
   * @throws LamellaError `CORRUPT` when the entry is invalid; nothing is noted then
   */
  drop(slice: CachedSlice, index: number, giveBack: boolean): void {
    const high = this.entries.high(slice, index);
    const low = this.entries.low(slice, index);
    switch (this.entries.kind(slice, index)) {
      case KIND.data:
      case KIND.preallocated:
        this.space.drop(hostOffset(high, low), this.geometry.clusterSize, giveBack);
        return;
      case KIND.compressed: {
        const range = compressedRange(high, low, this.#clusterBits);
        this.space.drop(range.offset, range.length, giveBack);
        return;
      }
      case KIND.invalid:
        throw this.entries.invalid(slice, index);
      default:
    }
  }
}
