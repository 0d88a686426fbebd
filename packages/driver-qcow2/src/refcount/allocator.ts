import { type Awaitable, type CachedSlice, isPromise, type Storage } from '@lamella/core';
import type { MetadataGuard } from '../check/metadata-guard.js';
import { corrupt } from '../errors.js';
import type { Geometry } from '../geometry.js';
import type { BlockMaker } from './block-maker.js';
import { type ClusterRun, FreeClusters } from './free-clusters.js';
import type { Refcounts } from './refcounts.js';
import type { ReservedClusters } from './reserved-clusters.js';

/** Host clusters that were set aside. */
export interface AllocatedRun {
  /** Byte offset of the first. */
  readonly offset: number;
  /** How many, at least 1. */
  readonly count: number;
  /** They lie behind everything that was ever written, so they read as zeroes. */
  readonly fresh: boolean;
}

/** What an {@link Allocator} works on. */
export interface AllocatorParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly refcounts: Refcounts;
  readonly blocks: BlockMaker;
  readonly reserved: ReservedClusters;
  readonly guard: MetadataGuard;
}

/**
 * Gives out host clusters at a cost that does not depend on the size of the image. Candidates come
 * from the list of free runs, then from one step of a scan that passes over the refcounts once, then
 * from the end of what is in use. Refcounts are raised in memory at once.
 */
export class Allocator {
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #refcounts: Refcounts;
  readonly #blocks: BlockMaker;
  readonly #reserved: ReservedClusters;
  readonly #guard: MetadataGuard;
  readonly #free = new FreeClusters();
  /** First cluster that the scan has not seen. */
  #scanned = 0;
  /** First cluster behind everything in use; undefined until it was looked up. */
  #end: number | undefined;
  /** The cluster whose refcount has to be brought into memory before the next attempt. */
  #wanted = 0;

  constructor(parts: AllocatorParts) {
    this.#storage = parts.storage;
    this.#geometry = parts.geometry;
    this.#refcounts = parts.refcounts;
    this.#blocks = parts.blocks;
    this.#reserved = parts.reserved;
    this.#guard = parts.guard;
  }

  /**
   * Sets contiguous clusters aside and raises their refcounts from 0 to 1 in memory.
   *
   * @param wanted - most clusters to give
   * @returns at least one cluster
   * @throws LamellaError `CORRUPT`, `LIMIT_EXCEEDED`, `NO_SPACE`, `IO_ERROR`
   */
  allocate(wanted: number): Awaitable<AllocatedRun> {
    const run = this.#attempt(wanted) ?? this.#allocateSlowly(wanted);
    return isPromise(run) ? run.then((allocated) => this.#admit(allocated)) : this.#admit(run);
  }

  /** Clusters whose refcount fell to 0 may be given out. */
  release(first: number, count: number): void {
    this.#free.add(first, count);
  }

  /**
   * Sets clusters aside that follow each other, and raises their refcounts from 0 to 1 in memory. Nothing
   * else is allocated meanwhile.
   *
   * @param count - how many, at least 1
   * @throws LamellaError as {@link allocate}
   */
  async allocateContiguous(count: number): Promise<AllocatedRun> {
    const run = await this.allocate(count);
    if (run.count === count) {
      return run;
    }
    const first = run.offset / this.#geometry.clusterSize;
    for (let cluster = first; cluster < first + run.count; cluster += 1) {
      await this.#refcounts.change(cluster, -1);
    }
    this.#free.add(first, run.count);
    return this.#allocateAtEnd(count);
  }

  async #allocateAtEnd(count: number): Promise<AllocatedRun> {
    const { clusterSize } = this.#geometry;
    const end = this.#end ?? (await this.#findEnd());
    let first = end;
    for (let cluster = end; cluster < first + count; cluster += 1) {
      if (this.#refcounts.sliceOffset(cluster) === 0) {
        // New blocks lie here, in front, and count all that follows.
        const reserve = (taken: number) => this.#reserveForBlocks(cluster, taken);
        await this.#blocks.make(cluster, reserve, count);
        if (cluster > end) {
          this.#free.add(end, cluster - end);
        }
      }
      if ((await this.#refcounts.get(cluster)) !== 0) {
        first = cluster + 1;
      }
    }
    this.#end = first + count;
    for (let cluster = first; cluster < first + count; cluster += 1) {
      await this.#refcounts.change(cluster, 1);
    }
    const offset = first * clusterSize;
    return this.#admit({ offset, count, fresh: offset >= this.#storage.size });
  }

  /** Nothing is given out that metadata takes, whatever the refcounts say. */
  #admit(run: AllocatedRun): Awaitable<AllocatedRun> {
    const admitted = this.#guard.admit(run.offset, run.count * this.#geometry.clusterSize);
    return isPromise(admitted) ? admitted.then(() => run) : run;
  }

  async #allocateSlowly(wanted: number): Promise<AllocatedRun> {
    this.#end ??= await this.#findEnd();
    for (;;) {
      const run = this.#attempt(wanted);
      if (run !== undefined) {
        return run;
      }
      await this.#prepare(this.#wanted);
    }
  }

  async #prepare(cluster: number): Promise<void> {
    const slice = this.#refcounts.sliceOffset(cluster);
    if (slice !== 0) {
      await this.#refcounts.cache.load(slice);
      return;
    }
    await this.#blocks.make(cluster, (count) => this.#reserveForBlocks(cluster, count));
  }

  /** Sets clusters aside for new refcount blocks without raising anything: nothing counts them yet. */
  #reserveForBlocks(cluster: number, count: number): void {
    this.#reserved.add(cluster, count);
    this.#end = Math.max(this.#end ?? 0, cluster + count);
  }

  #attempt(wanted: number): AllocatedRun | undefined {
    if (this.#end === undefined) {
      return undefined;
    }
    for (let run = this.#free.best(wanted); run !== undefined; run = this.#free.best(wanted)) {
      const taken = this.#takeFree(run, wanted, this.#end);
      if (taken !== 0) {
        return taken;
      }
    }
    if (this.#scanned < this.#end) {
      if (!this.#scan(this.#end)) {
        return undefined;
      }
      const run = this.#free.best(wanted);
      const taken = run === undefined ? 0 : this.#takeFree(run, wanted, this.#end);
      if (taken !== 0) {
        return taken;
      }
    }
    return this.#takeEnd(wanted, this.#end);
  }

  /** The checked part of a run; 0 if nothing of it is free, undefined if a slice has to come first. */
  #takeFree(run: ClusterRun, wanted: number, end: number): AllocatedRun | undefined | 0 {
    if (run.first >= end) {
      // Freed at the end of the file before the end was looked up: it is found there again.
      this.#free.remove(run);
      return 0;
    }
    const slice = this.#slice(run.first);
    if (slice === undefined) {
      return undefined;
    }
    this.#free.remove(run);
    let first = run.first;
    const listedEnd = Math.min(end, run.first + run.count);
    while (first < listedEnd && !this.#isFree(slice, first, run.first)) {
      first += 1;
    }
    if (first === listedEnd) {
      return 0;
    }
    const taken = this.#take(slice, first, Math.min(wanted, listedEnd - first));
    if (first + taken.count < listedEnd) {
      this.#free.add(first + taken.count, listedEnd - first - taken.count);
    }
    return taken;
  }

  #takeEnd(wanted: number, end: number): AllocatedRun | undefined {
    let first = end;
    for (;;) {
      const slice = this.#slice(first);
      if (slice === undefined) {
        this.#end = first;
        return undefined;
      }
      if (this.#isFree(slice, first, first)) {
        const taken = this.#take(slice, first, wanted);
        if (this.#scanned === this.#end) {
          this.#scanned = first + taken.count;
        }
        this.#end = first + taken.count;
        return { ...taken, fresh: taken.offset >= this.#storage.size };
      }
      first += 1;
    }
  }

  /** The cached slice for a cluster; without one, {@link #wanted} says what to get. */
  #slice(cluster: number): CachedSlice | undefined {
    const offset = this.#refcounts.sliceOffset(cluster);
    const slice = offset === 0 ? undefined : this.#refcounts.cache.get(offset);
    if (slice === undefined) {
      this.#wanted = cluster;
    }
    return slice;
  }

  /** Whether a cluster of the slice that holds `inSlice` is free; clusters of other slices are not. */
  #isFree(slice: CachedSlice, cluster: number, inSlice: number): boolean {
    const entries = this.#geometry.refcountSliceEntries;
    return (
      Math.floor(cluster / entries) === Math.floor(inSlice / entries) &&
      this.#refcounts.in(slice, cluster) === 0 &&
      !this.#reserved.has(cluster)
    );
  }

  #take(slice: CachedSlice, first: number, wanted: number): AllocatedRun {
    let count = 0;
    while (count < wanted && this.#isFree(slice, first + count, first)) {
      this.#refcounts.put(slice, first + count, 1);
      count += 1;
    }
    return { offset: first * this.#geometry.clusterSize, count, fresh: false };
  }

  /** Passes over one slice of refcounts; false if it has to be brought into memory first. */
  #scan(end: number): boolean {
    const first = this.#scanned;
    const hasBlock = this.#refcounts.sliceOffset(first) !== 0;
    const unit = hasBlock
      ? this.#geometry.refcountSliceEntries
      : this.#geometry.refcountBlockEntries;
    const stop = Math.min(end, first - (first % unit) + unit);
    if (!hasBlock) {
      // Nothing says that these are free; should the table be damaged, they hold somebody's data.
      this.#scanned = stop;
      return true;
    }
    const slice = this.#slice(first);
    if (slice === undefined) {
      return false;
    }
    let runStart = first;
    for (let cluster = first; cluster <= stop; cluster += 1) {
      if (cluster === stop || this.#refcounts.in(slice, cluster) !== 0) {
        if (cluster > runStart) {
          this.#free.add(runStart, cluster - runStart);
        }
        runStart = cluster + 1;
      }
    }
    this.#scanned = stop;
    return true;
  }

  /**
   * Looks for the last cluster in use, from the end of the file back to the start of the last refcount
   * block: on a block device the file's end says nothing.
   */
  async #findEnd(): Promise<number> {
    const { clusterSize, refcountBlockEntries, refcountSliceEntries } = this.#geometry;
    const table = this.#refcounts.table;
    let last = table.length - 1;
    while (last > 0 && table.get(last) === 0) {
      last -= 1;
    }
    if (table.get(0) === 0) {
      throw corrupt(this.#storage.location, table.offset, 'no refcount block covers the header');
    }
    const inFile = Math.ceil(this.#storage.size / clusterSize);
    const first = last * refcountBlockEntries;
    let end = Math.min(inFile, first + refcountBlockEntries);
    while (end > first) {
      const inSlice = ((end - 1) % refcountSliceEntries) + 1;
      const slice = await this.#refcounts.cache.load(this.#refcounts.sliceOffset(end - 1));
      for (let step = 0; step < inSlice; step += 1) {
        if (this.#refcounts.in(slice, end - 1) !== 0) {
          return end;
        }
        end -= 1;
      }
    }
    return Math.min(inFile, first);
  }
}
