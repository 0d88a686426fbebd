import {
  type Awaitable,
  type CachedSlice,
  type Storage,
  type TableCache,
  TableLocks,
} from '@lamella/core';
import type { Geometry } from '../geometry.js';
import type { Allocator } from '../refcount/allocator.js';
import type { Drops } from '../refcount/drops.js';
import { INVALID, type PointerTable } from '../tables/pointer-table.js';

/** What {@link L2Tables} works on. */
export interface L2TableParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly l1: PointerTable;
  readonly cache: TableCache;
  readonly allocator: Allocator;
  readonly drops: Drops;
}

/**
 * Gives access to L2 tables for changing them: makes missing ones and copies those that a snapshot
 * shares. A new table is written - empty, or as the old one is - before the L1 entry in memory points
 * to it, so that a flush has it on disk before the L1 entry. Changes to it afterwards are mappings like
 * those of any table.
 */
export class L2Tables {
  readonly cache: TableCache;
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #l1: PointerTable;
  readonly #allocator: Allocator;
  readonly #drops: Drops;
  /** For making and copying tables. A table stays once it is owned: whole-image operations run alone. */
  readonly #locks = new TableLocks();

  constructor(parts: L2TableParts) {
    this.cache = parts.cache;
    this.#storage = parts.storage;
    this.#geometry = parts.geometry;
    this.#l1 = parts.l1;
    this.#allocator = parts.allocator;
    this.#drops = parts.drops;
  }

  /** Whether the L1 entry points to a table that this image alone uses. A flag without a table is damage. */
  isOwned(l1Index: number): boolean {
    return this.#l1.isCopied(l1Index) && this.#l1.get(l1Index) !== 0;
  }

  /**
   * Byte offset of a table, 0 if there is none.
   *
   * @throws LamellaError `CORRUPT` when the L1 entry is invalid
   */
  offset(l1Index: number): number {
    const table = this.#l1.get(l1Index);
    if (table === INVALID) {
      throw this.#l1.invalid(l1Index);
    }
    return table;
  }

  /** A slice of an existing table for reading, if it is cached. */
  cached(l1Index: number, sliceIndex: number): CachedSlice | undefined {
    return this.cache.get(this.offset(l1Index) + sliceIndex * this.#geometry.sliceSize);
  }

  /** Brings a slice of an existing table into the cache. */
  load(l1Index: number, sliceIndex: number): Awaitable<CachedSlice> {
    return this.cache.load(this.offset(l1Index) + sliceIndex * this.#geometry.sliceSize);
  }

  /** A slice that may be changed now: its table is present and owned, the slice cached. */
  writable(l1Index: number, sliceIndex: number): CachedSlice | undefined {
    return this.isOwned(l1Index) ? this.cached(l1Index, sliceIndex) : undefined;
  }

  /**
   * Does what {@link writable} needs. Afterwards the caller tries that again.
   *
   * @throws LamellaError `NO_SPACE`, `CORRUPT`, `LIMIT_EXCEEDED`, `IO_ERROR`
   */
  async prepare(l1Index: number, sliceIndex: number): Promise<void> {
    if (!this.isOwned(l1Index)) {
      await this.#locks.exclusive(l1Index, () => this.#own(l1Index));
    }
    await this.load(l1Index, sliceIndex);
  }

  async #own(l1Index: number): Promise<void> {
    if (this.isOwned(l1Index)) {
      return;
    }
    const { clusterSize } = this.#geometry;
    const shared = this.offset(l1Index);
    const { offset } = await this.#allocator.allocate(1);
    try {
      if (shared === 0) {
        await this.#storage.writeZeroes(offset, clusterSize);
      } else {
        await this.#copy(shared, offset);
      }
    } catch (error) {
      this.#drops.add(offset, clusterSize, false);
      throw error;
    }
    this.cache.forget(offset, clusterSize);
    this.#l1.set(l1Index, offset);
    if (shared !== 0) {
      this.#drops.add(shared, clusterSize, false);
    }
  }

  async #copy(from: number, to: number): Promise<void> {
    const content = new Uint8Array(this.#geometry.clusterSize);
    await this.#storage.read(content, from);
    await this.#storage.write(content, to);
  }
}
