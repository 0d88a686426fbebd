import {
  type Awaitable,
  type CachedSlice,
  isPromise,
  type Storage,
  TableCache,
} from '@lamella/core';
import { entryAt, runLength, UNALLOCATED } from './entries.js';
import {
  corruptEntry,
  ENTRY_SIZE,
  type Geometry,
  inSlice,
  SLICE_ENTRIES,
  SLICE_SIZE,
} from './geometry.js';

/** L1 entries that are remembered beside the cache; a power of two. */
const KNOWN_TABLES = 1024;

/** What limits the offsets that tables may hold. */
export interface HostBounds {
  /** Byte offset behind the last cluster that may be referred to. */
  readonly end: number;
}

/**
 * Looks up the L1 and L2 tables, slice by slice through one bounded cache, and refuses entries that
 * point where no table or data cluster can be.
 */
export class Tables {
  readonly cache: TableCache;
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #bounds: HostBounds;
  /** L1 indexes and their tables, to spare hot paths a lookup: a table that is there never moves. */
  readonly #knownIndexes = new Int32Array(KNOWN_TABLES).fill(-1);
  readonly #knownTables = new Float64Array(KNOWN_TABLES);

  /**
   * @param cacheSize - most bytes of tables to hold
   */
  constructor(storage: Storage, geometry: Geometry, bounds: HostBounds, cacheSize: number) {
    this.cache = new TableCache(storage, { sliceSize: SLICE_SIZE, maxBytes: cacheSize });
    this.#storage = storage;
    this.#geometry = geometry;
    this.#bounds = bounds;
  }

  /**
   * Byte offset of the L2 table of an L1 entry, 0 if there is none.
   *
   * @throws LamellaError `CORRUPT`, and as `Storage.read`
   */
  tableOf(l1Index: number): Awaitable<number> {
    const slot = l1Index & (KNOWN_TABLES - 1);
    if (this.#knownIndexes[slot] === l1Index) {
      return this.#knownTables[slot] ?? 0;
    }
    const slice = this.cache.load(this.#geometry.l1Slice(l1Index));
    return isPromise(slice)
      ? slice.then((loaded) => this.#tableIn(loaded, l1Index))
      : this.#tableIn(slice, l1Index);
  }

  /**
   * How many L1 entries from `l1Index` on have no table, as far as the cached slice tells.
   *
   * @param max - where to stop counting
   * @returns at least 1: the first is known to have none
   */
  absentTables(l1Index: number, max: number): number {
    const slice = this.cache.get(this.#geometry.l1Slice(l1Index));
    const first = inSlice(l1Index);
    const limit = Math.min(max, SLICE_ENTRIES - first);
    let count = 1;
    while (slice !== undefined && count < limit && entryAt(slice, first + count) === UNALLOCATED) {
      count += 1;
    }
    return count;
  }

  /**
   * The slice of an L2 table that holds an entry.
   *
   * @throws LamellaError as `Storage.read`
   */
  entriesOf(table: number, l2Index: number): Awaitable<CachedSlice> {
    return this.cache.load(this.#geometry.l2Slice(table, l2Index));
  }

  /**
   * How many clusters follow each other in the file from a data entry on, within the slice.
   *
   * @param index - of the entry within the slice
   * @param entry - its value, above 1
   * @param bytes - how far to count, at least 1
   * @returns at least 1
   * @throws LamellaError `CORRUPT` for an entry that points where no data can be
   */
  dataRun(slice: CachedSlice, index: number, entry: number, bytes: number): number {
    const { clusterSize } = this.#geometry;
    if (!this.#geometry.isRegular(entry, clusterSize, this.#bounds.end)) {
      const { location } = this.#storage;
      throw corruptEntry(location, 'an L2 table entry', entry, slice.offset + index * ENTRY_SIZE);
    }
    if (bytes <= clusterSize) {
      return 1;
    }
    const count = runLength(slice, index, Math.ceil(bytes / clusterSize), entry, clusterSize);
    return this.#geometry.isRegular(entry, count * clusterSize, this.#bounds.end) ? count : 1;
  }

  /** Forgets everything: the storage was changed behind the cache. Changes not written back are lost. */
  clear(): void {
    this.cache.clear();
    this.#knownIndexes.fill(-1);
  }

  #tableIn(slice: CachedSlice, l1Index: number): number {
    const index = inSlice(l1Index);
    const table = entryAt(slice, index);
    const { tableBytes } = this.#geometry;
    if (table !== UNALLOCATED && !this.#geometry.isRegular(table, tableBytes, this.#bounds.end)) {
      const { location } = this.#storage;
      throw corruptEntry(location, 'an L1 table entry', table, slice.offset + index * ENTRY_SIZE);
    }
    if (table !== UNALLOCATED) {
      const slot = l1Index & (KNOWN_TABLES - 1);
      this.#knownIndexes[slot] = l1Index;
      this.#knownTables[slot] = table;
    }
    return table;
  }
}
