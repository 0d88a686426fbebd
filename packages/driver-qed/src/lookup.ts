import {
  type Awaitable,
  type CachedSlice,
  type Extent,
  isPromise,
  type Storage,
} from '@lamella/core';
import { entryAt, runLength, UNALLOCATED, ZERO } from './entries.js';
import { type Geometry, inSlice } from './geometry.js';
import type { Tables } from './tables.js';

/** Answers where guest ranges live (specification: "Logical offset translation"). */
export class Lookup {
  readonly #storage: Storage;
  readonly #tables: Tables;
  readonly #clusterSize: number;
  readonly #tableEntries: number;

  constructor(storage: Storage, geometry: Geometry, tables: Tables) {
    this.#storage = storage;
    this.#tables = tables;
    this.#clusterSize = geometry.clusterSize;
    this.#tableEntries = geometry.tableEntries;
  }

  /** See `Image.map`. */
  map(offset: number, length: number): Awaitable<Extent> {
    const cluster = Math.floor(offset / this.#clusterSize);
    const l1Index = Math.floor(cluster / this.#tableEntries);
    const table = this.#tables.tableOf(l1Index);
    return isPromise(table)
      ? table.then((found) => this.#mapInTable(found, l1Index, cluster, offset, length))
      : this.#mapInTable(table, l1Index, cluster, offset, length);
  }

  #mapInTable(
    table: number,
    l1Index: number,
    cluster: number,
    offset: number,
    length: number,
  ): Awaitable<Extent> {
    const l2Index = cluster - l1Index * this.#tableEntries;
    if (table === 0) {
      // One more than the request needs at times; the result is clipped.
      const wanted = Math.ceil((l2Index + 1 + length / this.#clusterSize) / this.#tableEntries);
      const tables = this.#tables.absentTables(l1Index, wanted);
      const clusters = tables * this.#tableEntries - l2Index;
      return { kind: 'unallocated', length: this.#clip(clusters, cluster, offset, length) };
    }
    const slice = this.#tables.entriesOf(table, l2Index);
    return isPromise(slice)
      ? slice.then((loaded) => this.#mapInSlice(loaded, inSlice(l2Index), cluster, offset, length))
      : this.#mapInSlice(slice, inSlice(l2Index), cluster, offset, length);
  }

  #mapInSlice(
    slice: CachedSlice,
    index: number,
    cluster: number,
    offset: number,
    length: number,
  ): Extent {
    const entry = entryAt(slice, index);
    const skip = offset - cluster * this.#clusterSize;
    if (entry > ZERO) {
      const clusters = this.#tables.dataRun(slice, index, entry, skip + length);
      return {
        kind: 'data',
        length: this.#clip(clusters, cluster, offset, length),
        storage: this.#storage,
        offset: entry + skip,
      };
    }
    const max = Math.ceil((skip + length) / this.#clusterSize);
    const clusters = runLength(slice, index, max, entry, 0);
    const clipped = this.#clip(clusters, cluster, offset, length);
    return entry === UNALLOCATED
      ? { kind: 'unallocated', length: clipped }
      : { kind: 'zero', length: clipped, allocated: false };
  }

  /** The part of a request that lies within so many clusters from `cluster` on. */
  #clip(clusters: number, cluster: number, offset: number, length: number): number {
    return Math.min(length, (cluster + clusters) * this.#clusterSize - offset);
  }
}
