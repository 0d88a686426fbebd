import type { Storage } from '@lamella/core';
import type { Allocator } from './allocator.js';
import type { Drop, Drops } from './drops.js';
import type { ClusterRun } from './free-clusters.js';

/** What a renewed image works with. */
export interface LeftoverParts {
  readonly storage: Storage;
  readonly geometry: { readonly clusterSize: number };
  readonly drops: Drops;
  readonly allocator: Allocator;
  readonly flusher: { flush(): Promise<void> };
}

/**
 * What a change of a whole image leaves behind: only the image as it is afterwards can free it, once the
 * change is durable.
 */
export class Leftovers {
  readonly #drops: Drop[] = [];
  readonly #freed: ClusterRun[] = [];

  /**
   * A range has one reference less than its refcounts say.
   *
   * @param offset - byte offset within the file
   * @param length - bytes; every cluster that they touch counts
   */
  drop(offset: number, length: number): void {
    if (length > 0) {
      this.#drops.push({ offset, length, giveBack: false });
    }
  }

  /** Clusters have the refcount 0 now. */
  freed(first: number, count: number): void {
    const last = this.#freed.at(-1);
    if (last !== undefined && last.first + last.count === first) {
      this.#freed[this.#freed.length - 1] = { first: last.first, count: last.count + count };
    } else {
      this.#freed.push({ first, count });
    }
  }

  /**
   * Frees it all.
   *
   * @throws LamellaError as a flush; references that were not dropped are noted for the next one
   */
  async free({ storage, geometry, drops, allocator, flusher }: LeftoverParts): Promise<void> {
    const { clusterSize } = geometry;
    drops.restore(this.#drops);
    if (this.#drops.length > 0) {
      await flusher.flush();
    }
    for (const { first, count } of this.#freed) {
      const inFile = Math.min(count * clusterSize, storage.size - first * clusterSize);
      if (inFile > 0) {
        await storage.discard(first * clusterSize, inFile);
      }
      allocator.release(first, count);
    }
  }
}
