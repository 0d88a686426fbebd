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
   * @throws LamellaError `LIMIT_EXCEEDED` when the refcount table would pass 8 MiB, `NO_SPACE`,
   * `IO_ERROR`
   */
  async make(cluster: number, reserve: (count: number) => void): Promise<void> {
    if (this.#busy !== undefined) {
      await this.#busy.catch(() => undefined);
      return;
    }
    this.#busy = this.#make(cluster, reserve);
    try {
      await this.#busy;
    } finally {
      this.#busy = undefined;
    }
  }

  /**
   * Makes refcount blocks for contiguous clusters that none covers yet, and raises the refcounts of those
   * clusters from 0 to 1, in memory.
   *
   * @param cluster - the first of them; no refcount block covers it or anything behind it
   * @param payload - how many
   * @param reserve - as of {@link make}
   * @throws LamellaError as {@link make}
   */
  makeWith(cluster: number, payload: number, reserve: (count: number) => void): Promise<void> {
    return this.#make(cluster, reserve, payload);
  }

  async #make(cluster: number, reserve: (count: number) => void, payload = 0): Promise<void> {
    const growth = this.#planGrowth(cluster, payload);
    const count = payload + growth.tableClusters + growth.blocks;
    reserve(count);
    try {
      const { clusterSize } = this.#geometry;
      await this.#guard.admit(cluster * clusterSize, count * clusterSize);
      const firstBlock = cluster + payload + growth.tableClusters;
      await this.#storage.writeZeroes(
        firstBlock * this.#geometry.clusterSize,
        growth.blocks * this.#geometry.clusterSize,
      );
      this.#enter(cluster, payload, growth);
    } finally {
      this.#reserved.delete(cluster, count);
    }
  }

  /** How many blocks describe the payload and themselves, and how large a new table must be, if one is needed. */
  #planGrowth(cluster: number, payload: number): Growth {
    const perTableCluster = this.#geometry.clusterSize / 8;
    const firstIndex = this.#refcounts.blockIndex(cluster);
    let growth: Growth = { tableClusters: 0, blocks: 1 };
    for (;;) {
      const lastIndex = this.#refcounts.blockIndex(
        cluster + payload + growth.tableClusters + growth.blocks - 1,
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
  #enter(cluster: number, payload: number, { tableClusters, blocks }: Growth): void {
    const { clusterSize } = this.#geometry;
    const firstIndex = this.#refcounts.blockIndex(cluster);
    if (tableClusters > 0) {
      const old = this.#refcounts.table;
      const entries = (tableClusters * clusterSize) / 8;
      this.#refcounts.replaceTable(old.movedTo((cluster + payload) * clusterSize, entries));
      this.#drops.add(old.offset, old.length * 8, false);
    }
    for (let i = 0; i < blocks; i += 1) {
      const offset = (cluster + payload + tableClusters + i) * clusterSize;
      this.#refcounts.cache.forget(offset, clusterSize);
      this.#refcounts.table.set(firstIndex + i, offset);
    }
    const created = new Set<number>();
    for (let i = 0; i < payload + tableClusters + blocks; i += 1) {
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
