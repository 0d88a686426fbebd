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
  readonly blocks: number;
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
   * @param reserve - takes clusters from `cluster` on out of circulation
   * @param beyond - further clusters that are to have refcount blocks, so that none has to be made among
   * them; there are no blocks behind `cluster` yet
   * @throws LamellaError `LIMIT_EXCEEDED` when the refcount table would pass 8 MiB, `NO_SPACE`,
   * `IO_ERROR`
   */
  async make(cluster: number, reserve: (count: number) => void, beyond = 0): Promise<void> {
    if (this.#busy !== undefined) {
      await this.#busy.catch(() => undefined);
      return;
    }
    this.#busy = this.#make(cluster, reserve, beyond);
    try {
      await this.#busy;
    } finally {
      this.#busy = undefined;
    }
  }

  async #make(cluster: number, reserve: (count: number) => void, beyond: number): Promise<void> {
    const growth = this.#planGrowth(cluster, beyond);
    const count = growth.tableClusters + growth.blocks;
    reserve(count);
    try {
      const { clusterSize } = this.#geometry;
      await this.#guard.admit(cluster * clusterSize, count * clusterSize);
      const firstBlock = cluster + growth.tableClusters;
      await this.#storage.writeZeroes(
        firstBlock * this.#geometry.clusterSize,
        growth.blocks * this.#geometry.clusterSize,
      );
      this.#enter(cluster, growth);
    } finally {
      this.#reserved.delete(cluster, count);
    }
  }

  /** The blocks, and the table if the old one is too small, that cover all clusters they take and more. */
  #planGrowth(cluster: number, beyond: number): Growth {
    const perTableCluster = this.#geometry.clusterSize / 8;
    const firstIndex = this.#refcounts.blockIndex(cluster);
    let growth: Growth = { tableClusters: 0, blocks: 1 };
    for (;;) {
      const lastIndex = this.#refcounts.blockIndex(
        cluster + growth.tableClusters + growth.blocks + beyond - 1,
      );
      const fits = lastIndex < this.#refcounts.table.length;
      const entries = Math.ceil((lastIndex + 1) * 1.5);
      const next = {
        tableClusters: fits ? 0 : Math.ceil(entries / perTableCluster),
        blocks: lastIndex - firstIndex + 1,
      };
      if (next.tableClusters <= growth.tableClusters && next.blocks <= growth.blocks) {
        this.#assertTableSize(growth.tableClusters);
        return growth;
      }
      growth = {
        tableClusters: Math.max(next.tableClusters, growth.tableClusters),
        blocks: Math.max(next.blocks, growth.blocks),
      };
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
  #enter(cluster: number, { tableClusters, blocks }: Growth): void {
    const { clusterSize } = this.#geometry;
    const firstIndex = this.#refcounts.blockIndex(cluster);
    if (tableClusters > 0) {
      const old = this.#refcounts.table;
      const entries = (tableClusters * clusterSize) / 8;
      this.#refcounts.replaceTable(old.movedTo(cluster * clusterSize, entries));
      this.#drops.add(old.offset, old.length * 8, false);
    }
    for (let i = 0; i < blocks; i += 1) {
      const offset = (cluster + tableClusters + i) * clusterSize;
      this.#refcounts.cache.forget(offset, clusterSize);
      this.#refcounts.table.set(firstIndex + i, offset);
    }
    const created = new Set<number>();
    for (let i = 0; i < tableClusters + blocks; i += 1) {
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
