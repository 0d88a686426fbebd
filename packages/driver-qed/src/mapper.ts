import {
  type Awaitable,
  type CachedSlice,
  isPromise,
  type Storage,
  TableLocks,
} from '@lamella/core';
import type { Allocator } from './allocator.js';
import { setEntries } from './entries.js';
import { type Geometry, inSlice } from './geometry.js';
import type { Tables } from './tables.js';

/** Changes the mapping in memory, making L2 tables where there are none. */
export class Mapper {
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #tables: Tables;
  readonly #allocator: Allocator;
  readonly #locks = new TableLocks();

  constructor(storage: Storage, geometry: Geometry, tables: Tables, allocator: Allocator) {
    this.#storage = storage;
    this.#geometry = geometry;
    this.#tables = tables;
    this.#allocator = allocator;
  }

  /**
   * Sets the entries of neighbouring guest clusters to `first`, `first + step`, ... All of them at
   * once or, when it fails, none. Done at once when the table is there and cached.
   *
   * @param cluster - number of the first guest cluster
   * @param count - clusters, all in one slice of one table
   * @throws LamellaError `CORRUPT`, `NO_SPACE`, `LIMIT_EXCEEDED`, `IO_ERROR`
   */
  set(cluster: number, count: number, first: number, step: number): Awaitable<void> {
    const { tableEntries } = this.#geometry;
    const l1Index = Math.floor(cluster / tableEntries);
    const l2Index = cluster - l1Index * tableEntries;
    const table = this.#tables.tableOf(l1Index);
    if (!isPromise(table) && table !== 0) {
      const slice = this.#tables.cache.get(this.#geometry.l2Slice(table, l2Index));
      if (slice !== undefined) {
        this.#change(slice, inSlice(l2Index), count, first, step);
        return;
      }
    }
    return this.#setLater(l1Index, l2Index, count, first, step);
  }

  /**
   * Byte offset of the L2 table of an L1 entry, which is made if there is none.
   *
   * @throws LamellaError as {@link Mapper.set}
   */
  async tableFor(l1Index: number): Promise<number> {
    const present = await this.#tables.tableOf(l1Index);
    return present === 0 ? this.#makeTable(l1Index, 0) : present;
  }

  async #setLater(
    l1Index: number,
    l2Index: number,
    count: number,
    first: number,
    step: number,
  ): Promise<void> {
    const present = await this.#tables.tableOf(l1Index);
    const table = present === 0 ? await this.#makeTable(l1Index, l2Index) : present;
    await this.#withSlice(this.#geometry.l2Slice(table, l2Index), (slice) =>
      this.#change(slice, inSlice(l2Index), count, first, step),
    );
  }

  #change(slice: CachedSlice, index: number, count: number, first: number, step: number): void {
    setEntries(slice, index, count, first, step);
    this.#tables.cache.markDirty(slice);
  }

  /** The table of an L1 entry that had none; whoever comes second finds it made. */
  #makeTable(l1Index: number, l2Index: number): Promise<number> {
    return this.#locks.exclusive(l1Index, async () => {
      const present = await this.#tables.tableOf(l1Index);
      if (present !== 0) {
        return present;
      }
      const claim = await this.#allocator.claimAll(this.#geometry.tableSize);
      try {
        if (!claim.fresh) {
          const { tableBytes } = this.#geometry;
          await this.#storage.writeZeroes(claim.offset, tableBytes, { unmap: false });
        }
        // One moment for both: whoever sees the entry must find the slice, not load an older one.
        await this.#withSlice(this.#geometry.l1Slice(l1Index), (l1) => {
          this.#change(l1, inSlice(l1Index), 1, claim.offset, 0);
          this.#tables.cache.create(this.#geometry.l2Slice(claim.offset, l2Index));
        });
      } catch (error) {
        this.#allocator.release(claim);
        throw error;
      }
      return claim.offset;
    });
  }

  /** Runs a change on a slice at a moment when the cache holds it. */
  async #withSlice(offset: number, change: (slice: CachedSlice) => void): Promise<void> {
    const { cache } = this.#tables;
    let slice = await cache.load(offset);
    while (cache.get(offset) !== slice) {
      slice = await cache.load(offset);
    }
    change(slice);
  }
}
