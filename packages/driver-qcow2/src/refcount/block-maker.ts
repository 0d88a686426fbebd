import { LamellaError, type Storage } from '@lamella/core';
import type { MetadataGuard } from '../check/metadata-guard.js';
import type { Geometry } from '../geometry.js';
import { MAX_REFCOUNT_TABLE_BYTES } from '../header/header.js';
import type { Drops } from './drops.js';
import type { Refcounts } from './refcounts.js';
import type { ReservedClusters } from './reserved-clusters.js';

/** What a {@link BlockMaker} works on. */
export interface BlockMakerParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly refcounts: Refcounts;
  readonly reserved: ReservedClusters;
  readonly drops: Drops;
  readonly guard: MetadataGuard;
}

/** Clusters for a larger refcount table and the refcount blocks that describe it and themselves. */
interface Growth {
  readonly tableClusters: number;
  /** Indexes of the refcount table that get blocks, ascending. */
  readonly missing: readonly number[];
}

/**
 * Makes refcount blocks, each of which describes itself, and a larger refcount table when the file
 * outgrows the old one. Content is on its way to the disk before the table in memory points to it; a
 * flush writes blocks, table and header in that order.
 */
export class BlockMaker {
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #refcounts: Refcounts;
  readonly #reserved: ReservedClusters;
  readonly #drops: Drops;
  readonly #guard: MetadataGuard;
  #busy: Promise<void> | undefined;

  constructor(parts: BlockMakerParts) {
    this.#storage = parts.storage;
    this.#geometry = parts.geometry;
    this.#refcounts = parts.refcounts;
    this.#reserved = parts.reserved;
    this.#drops = parts.drops;
    this.#guard = parts.guard;
  }

  /**
   * Makes the refcount block for a free cluster out of this cluster. When one is being made already,
   * waits for it and makes none: the caller looks again.
   *
   * @param cluster - a cluster without refcount block
   * @param reserve - takes clusters from the given one on out of circulation
   * @param ahead - clusters from `cluster` on, all of them free, that get refcount blocks but stay free; the
   * blocks go behind them
   * @throws LamellaError `LIMIT_EXCEEDED` when the refcount table would pass 8 MiB, `NO_SPACE`,
   * `IO_ERROR`
   */
  async make(
    cluster: number,
    reserve: (first: number, count: number) => void,
    ahead = 0,
  ): Promise<void> {
    if (this.#busy !== undefined) {
      await this.#busy.catch(() => undefined);
      return;
    }
    this.#busy = this.#make(cluster, reserve, ahead);
    try {
      await this.#busy;
    } finally {
      this.#busy = undefined;
    }
  }

  async #make(
    cluster: number,
    reserve: (first: number, count: number) => void,
    ahead: number,
  ): Promise<void> {
    const growth = this.#plan(cluster, ahead);
    const first = cluster + ahead;
    const count = growth.tableClusters + growth.missing.length;
    reserve(first, count);
    try {
      const { clusterSize } = this.#geometry;
      await this.#guard.admit(first * clusterSize, count * clusterSize);
      await this.#storage.writeZeroes(
        (first + growth.tableClusters) * clusterSize,
        growth.missing.length * clusterSize,
      );
      this.#enter(first, growth);
    } finally {
      this.#reserved.delete(first, count);
    }
  }

  /** What is needed to count the clusters ahead, the new blocks and the new table, if there is one. */
  #plan(cluster: number, ahead: number): Growth {
    const perTableCluster = this.#geometry.clusterSize / 8;
    const { table } = this.#refcounts;
    const firstIndex = this.#refcounts.blockIndex(cluster);
    const missing: number[] = [];
    let tableClusters = 0;
    for (let index = firstIndex; ; index += 1) {
      const last = cluster + ahead + tableClusters + missing.length - 1;
      const lastIndex = Math.max(firstIndex, this.#refcounts.blockIndex(last));
      const entries = Math.ceil((lastIndex + 1) * 1.5);
      if (lastIndex >= table.length && tableClusters < Math.ceil(entries / perTableCluster)) {
        tableClusters = Math.ceil(entries / perTableCluster);
        this.#assertTableSize(tableClusters);
        index -= 1;
      } else if (index > lastIndex) {
        return { tableClusters, missing };
      } else if (table.get(index) === 0) {
        missing.push(index);
      }
    }
  }

  #assertTableSize(clusters: number): void {
    if (clusters * this.#geometry.clusterSize > MAX_REFCOUNT_TABLE_BYTES) {
      throw new LamellaError('LIMIT_EXCEEDED', 'the refcount table cannot grow further', {
        location: this.#storage.location,
        offset: this.#refcounts.table.offset,
        hint: 'Convert the image to larger clusters or narrower refcounts.',
      });
    }
  }

  /** Enters new blocks and, where there is one, the new table; all in memory and at one moment. */
  #enter(cluster: number, { tableClusters, missing }: Growth): void {
    const { clusterSize } = this.#geometry;
    if (tableClusters > 0) {
      const old = this.#refcounts.table;
      const entries = (tableClusters * clusterSize) / 8;
      this.#refcounts.replaceTable(old.movedTo(cluster * clusterSize, entries));
      this.#drops.add(old.offset, old.length * 8, false);
    }
    for (const [i, index] of missing.entries()) {
      const offset = (cluster + tableClusters + i) * clusterSize;
      this.#refcounts.cache.forget(offset, clusterSize);
      this.#refcounts.table.set(index, offset);
    }
    const created = new Set<number>();
    for (let i = 0; i < tableClusters + missing.length; i += 1) {
      const counted = cluster + i;
      const offset = this.#refcounts.sliceOffset(counted);
      const slice = created.has(offset)
        ? this.#refcounts.cache.get(offset)
        : this.#refcounts.cache.create(offset);
      created.add(offset);
      if (slice !== undefined) {
        this.#refcounts.put(slice, counted, 1);
      }
    }
  }
}
