import type { Storage } from '@lamella/core';
import type { CompressedClusters } from '../compression/compressed-clusters.js';
import type { Geometry } from '../geometry.js';
import type { Allocator } from './allocator.js';
import type { CompressedPacker } from './compressed-packer.js';
import type { Drop, Drops } from './drops.js';
import type { Refcounts } from './refcounts.js';
import type { ReservedClusters } from './reserved-clusters.js';

/** What a {@link DropApplier} works on. */
export interface DropApplierParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly refcounts: Refcounts;
  readonly reserved: ReservedClusters;
  readonly drops: Drops;
  readonly allocator: Allocator;
  readonly compressed: CompressedClusters;
  readonly packer: CompressedPacker;
}

interface FreedRun {
  readonly first: number;
  count: number;
  readonly giveBack: boolean;
}

/** Lowers the refcounts of what durable mappings no longer refer to: the last phase of a flush. */
export class DropApplier {
  readonly #parts: DropApplierParts;

  constructor(parts: DropApplierParts) {
    this.#parts = parts;
  }

  /**
   * Lowers refcounts, lets the storage give freed space back and then lets the allocator have it. What
   * could not be done is noted again for the next flush.
   *
   * @throws LamellaError `CORRUPT` when a refcount is 0 already, `IO_ERROR`
   */
  async apply(drops: readonly Drop[]): Promise<void> {
    const freed: FreedRun[] = [];
    try {
      await this.#lower(drops, freed);
    } finally {
      await this.#release(freed);
    }
  }

  async #lower(drops: readonly Drop[], freed: FreedRun[]): Promise<void> {
    const { geometry, refcounts, reserved } = this.#parts;
    const queue = [...drops].sort((a, b) => a.offset - b.offset);
    for (const [index, drop] of queue.entries()) {
      const last = Math.floor((drop.offset + drop.length - 1) / geometry.clusterSize);
      let cluster = Math.floor(drop.offset / geometry.clusterSize);
      try {
        for (; cluster <= last; cluster += 1) {
          // Reserved beforehand: nobody may take it between its refcount's fall to 0 and the release.
          reserved.add(cluster, 1);
          if ((await refcounts.change(cluster, -1)) === 0) {
            this.#noteFreed(freed, cluster, drop.giveBack);
          } else {
            reserved.delete(cluster, 1);
          }
          if (refcounts.cache.overfull) {
            await refcounts.cache.beginWriteBack().store();
          }
        }
      } catch (error) {
        this.#postpone(drop, cluster + 1, last, queue.slice(index + 1));
        throw error;
      }
    }
  }

  /** The cluster that failed is given up: better a leak than lowering a refcount twice. */
  #postpone(drop: Drop, next: number, last: number, rest: readonly Drop[]): void {
    const { geometry, drops } = this.#parts;
    drops.restore(rest);
    if (next <= last) {
      const offset = next * geometry.clusterSize;
      drops.add(offset, drop.offset + drop.length - offset, drop.giveBack);
    }
  }

  #noteFreed(freed: FreedRun[], cluster: number, giveBack: boolean): void {
    const { geometry, compressed, packer } = this.#parts;
    compressed.forget(cluster * geometry.clusterSize, geometry.clusterSize);
    packer.forget(cluster);
    const run = freed.at(-1);
    if (run !== undefined && run.first + run.count === cluster && run.giveBack === giveBack) {
      run.count += 1;
    } else {
      freed.push({ first: cluster, count: 1, giveBack });
    }
  }

  async #release(freed: readonly FreedRun[]): Promise<void> {
    const { storage, geometry, reserved, allocator } = this.#parts;
    try {
      for (const { first, count, giveBack } of freed) {
        if (giveBack) {
          await storage.discard(first * geometry.clusterSize, count * geometry.clusterSize);
        }
      }
    } finally {
      for (const { first, count } of freed) {
        reserved.delete(first, count);
        allocator.release(first, count);
      }
    }
  }
}
