import {
  type Awaitable,
  type CachedSlice,
  isPromise,
  type Storage,
  type TableCache,
} from '@lamella/core';
import { corrupt } from '../errors.js';
import type { Geometry } from '../geometry.js';
import { INVALID, type PointerTable } from '../tables/pointer-table.js';
import { type RefcountWidth, refcountWidth } from './refcount-width.js';

/** What {@link Refcounts} reads from. */
export interface RefcountParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly cache: TableCache;
  readonly table: PointerTable;
}

/**
 * The refcounts of all host clusters, as they are in memory. Clusters go by their number: byte offset
 * divided by the cluster size. Whatever stands in the cache may be written at any time: raises come
 * before the mapping that needs them, and lowering happens here only after the mapping that dropped
 * the cluster is durable.
 */
export class Refcounts {
  readonly cache: TableCache;
  readonly width: RefcountWidth;
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  #table: PointerTable;

  constructor(parts: RefcountParts) {
    this.cache = parts.cache;
    this.#storage = parts.storage;
    this.#geometry = parts.geometry;
    this.#table = parts.table;
    this.width = refcountWidth(parts.geometry.refcountBits);
  }

  /** The refcount table. */
  get table(): PointerTable {
    return this.#table;
  }

  /** Puts a larger refcount table in the place of the old one, in memory. */
  replaceTable(table: PointerTable): void {
    this.#table = table;
  }

  /** Index into the refcount table for a cluster. */
  blockIndex(cluster: number): number {
    return Math.floor(cluster / this.#geometry.refcountBlockEntries);
  }

  /** Index of a cluster's refcount within its slice. */
  indexInSlice(cluster: number): number {
    return cluster % this.#geometry.refcountSliceEntries;
  }

  /**
   * Byte offset of the slice that holds a cluster's refcount, 0 if there is no refcount block for it.
   *
   * @throws LamellaError `CORRUPT` when the refcount table entry is invalid
   */
  sliceOffset(cluster: number): number {
    const index = this.blockIndex(cluster);
    const block = this.#table.get(index);
    if (block === INVALID) {
      throw this.#table.invalid(index);
    }
    if (block === 0) {
      return 0;
    }
    const inBlock = cluster % this.#geometry.refcountBlockEntries;
    const slice = Math.floor(inBlock / this.#geometry.refcountSliceEntries);
    return block + slice * this.#geometry.sliceSize;
  }

  /** The refcount of a cluster in the slice that holds it. */
  in(slice: CachedSlice, cluster: number): number {
    return this.width.get(slice.view, this.indexInSlice(cluster));
  }

  /** Changes a refcount in the slice that holds it. */
  put(slice: CachedSlice, cluster: number, value: number): void {
    this.width.set(slice.view, this.indexInSlice(cluster), value);
    this.cache.markDirty(slice);
  }

  /**
   * The refcount of a cluster; 0 where there is no refcount block.
   *
   * @throws LamellaError `CORRUPT` for one above 2^53 - 1 or an invalid table, `IO_ERROR`
   */
  get(cluster: number): Awaitable<number> {
    const offset = this.sliceOffset(cluster);
    if (offset === 0) {
      return 0;
    }
    const slice = this.cache.load(offset);
    return isPromise(slice)
      ? slice.then((loaded) => this.#checked(loaded, cluster))
      : this.#checked(slice, cluster);
  }

  #checked(slice: CachedSlice, cluster: number): number {
    const value = this.in(slice, cluster);
    if (value > this.width.max) {
      throw corrupt(
        this.#storage.location,
        slice.offset,
        `the refcount of host cluster ${cluster} is beyond 2^53 - 1`,
      );
    }
    return value;
  }

  /**
   * Raises or lowers the refcount of a cluster whose refcount block is there.
   *
   * @returns the new refcount
   * @throws LamellaError `CORRUPT` when it would fall below 0 or does not fit, `IO_ERROR`
   */
  async change(cluster: number, by: number): Promise<number> {
    const offset = this.sliceOffset(cluster);
    for (;;) {
      const slice = offset === 0 ? undefined : this.cache.get(offset);
      if (slice !== undefined || offset === 0) {
        const value = (slice === undefined ? 0 : this.#checked(slice, cluster)) + by;
        if (slice === undefined || value < 0 || value > this.width.max) {
          throw corrupt(
            this.#storage.location,
            offset,
            `the refcount of host cluster ${cluster} cannot become ${value}`,
          );
        }
        this.put(slice, cluster, value);
        return value;
      }
      await this.cache.load(offset);
    }
  }
}
