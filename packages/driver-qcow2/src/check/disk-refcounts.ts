import { type Awaitable, isPromise, type Storage, TableCache, viewOf } from '@lamella/core';
import type { Geometry } from '../geometry.js';
import { type RefcountWidth, refcountWidth } from '../refcount/refcount-width.js';

const TWO_31 = 0x8000_0000;
const TWO_32 = 0x1_0000_0000;
/** Bits of a refcount table entry that must be 0, in its lower half. */
const RESERVED = 0x1ff;
/** Bytes of refcount blocks to keep in memory. */
const CACHE_SIZE = 4 * 1024 * 1024;

/** What a refcount table entry says. */
export interface BlockEntry {
  /** Byte offset of the block, exact below 2^53; 0 for none. */
  readonly offset: number;
  /** The offset is a multiple of the cluster size. */
  readonly aligned: boolean;
  /** A block can be there: aligned and below 2^63, behind which no file reaches. */
  readonly readable: boolean;
  /** Bits that must be 0 are set. */
  readonly reserved: boolean;
}

/** Refcounts of clusters that follow one another. */
export interface RefcountRun {
  /** The first cluster. */
  readonly first: number;
  /** The cluster behind the last one. */
  readonly end: number;
  /** The refcount of one of them; undefined when its block is not where a block can be. */
  get(cluster: number): number | undefined;
}

/**
 * The refcounts as the file has them, read as tolerantly as a check needs: blocks behind the end of
 * the file read as zeroes, unaligned and absurd ones not at all.
 */
export class DiskRefcounts {
  readonly offset: number;
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #width: RefcountWidth;
  readonly #table: DataView;
  readonly #cache: TableCache;

  private constructor(storage: Storage, geometry: Geometry, offset: number, table: Uint8Array) {
    this.offset = offset;
    this.#storage = storage;
    this.#geometry = geometry;
    this.#width = refcountWidth(geometry.refcountBits);
    this.#table = viewOf(table);
    this.#cache = new TableCache(storage, { sliceSize: geometry.sliceSize, maxBytes: CACHE_SIZE });
  }

  /**
   * Reads the refcount table, at most 8 MiB of it.
   *
   * @param offset - byte offset of the table
   * @param clusters - its length, checked by the caller
   * @throws LamellaError as `Storage.read`
   */
  static async read(
    storage: Storage,
    geometry: Geometry,
    offset: number,
    clusters: number,
  ): Promise<DiskRefcounts> {
    const table = new Uint8Array(clusters * geometry.clusterSize);
    await storage.read(table, offset);
    return new DiskRefcounts(storage, geometry, offset, table);
  }

  /** Largest refcount of the image's width, at most 2^53 - 1. */
  get max(): number {
    return this.#width.max;
  }

  /** Entries of the refcount table. */
  get length(): number {
    return this.#table.byteLength / 8;
  }

  /** An entry of the refcount table; one behind its end says that there is no block. */
  entry(index: number): BlockEntry {
    if (index >= this.length) {
      return { offset: 0, aligned: true, readable: true, reserved: false };
    }
    const high = this.#table.getUint32(index * 8);
    const low = this.#table.getUint32(index * 8 + 4);
    const offset = high * TWO_32 + (low - (low & RESERVED));
    const aligned = (low & (this.#geometry.clusterSize - 1) & ~RESERVED) === 0;
    return {
      offset,
      aligned,
      readable: aligned && high < TWO_31,
      reserved: (low & RESERVED) !== 0,
    };
  }

  /**
   * The refcount of a cluster.
   *
   * @returns undefined when its block is not where a block can be
   * @throws LamellaError as `Storage.read`
   */
  get(cluster: number): Awaitable<number | undefined> {
    const run = this.runAt(cluster);
    return isPromise(run) ? run.then((loaded) => loaded.get(cluster)) : run.get(cluster);
  }

  /**
   * The refcounts around a cluster, as many as are to be had at once. Valid until the next `await`.
   *
   * @throws LamellaError as `Storage.read`
   */
  runAt(cluster: number): Awaitable<RefcountRun> {
    const { refcountBlockEntries, refcountSliceEntries } = this.#geometry;
    const block = Math.floor(cluster / refcountBlockEntries);
    const { offset, readable } = this.entry(block);
    if (!readable || offset === 0 || offset >= this.#storage.size) {
      const first = block * refcountBlockEntries;
      const refcount = readable ? 0 : undefined;
      return { first, end: first + refcountBlockEntries, get: () => refcount };
    }
    const first = cluster - (cluster % refcountSliceEntries);
    const slice = this.#cache.load(this.#sliceOffset(offset, cluster));
    return isPromise(slice)
      ? slice.then(({ view }) => this.#stored(first, view))
      : this.#stored(first, slice.view);
  }

  #stored(first: number, view: DataView): RefcountRun {
    const width = this.#width;
    const end = first + this.#geometry.refcountSliceEntries;
    return { first, end, get: (cluster) => width.get(view, cluster - first) };
  }

  /**
   * Replaces the refcount of a cluster whose block is there. Stored by {@link flush}.
   *
   * @throws LamellaError as `Storage.read` and `Storage.write`
   */
  async set(cluster: number, value: number): Promise<void> {
    const { refcountBlockEntries, refcountSliceEntries } = this.#geometry;
    const { offset } = this.entry(Math.floor(cluster / refcountBlockEntries));
    const slice = await this.#cache.load(this.#sliceOffset(offset, cluster));
    this.#width.set(slice.view, cluster % refcountSliceEntries, value);
    this.#cache.markDirty(slice);
    if (this.#cache.overfull) {
      await this.flush();
    }
  }

  /** Writes changed refcounts. Not durable before the storage is flushed. */
  async flush(): Promise<void> {
    await this.#cache.beginWriteBack().store();
  }

  #sliceOffset(block: number, cluster: number): number {
    const { refcountBlockEntries, refcountSliceEntries, sliceSize } = this.#geometry;
    const inBlock = cluster % refcountBlockEntries;
    return block + Math.floor(inBlock / refcountSliceEntries) * sliceSize;
  }
}
