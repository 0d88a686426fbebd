import type { Geometry } from '../geometry.js';
import type { Allocator } from './allocator.js';
import type { Drops } from './drops.js';
import type { Refcounts } from './refcounts.js';

/** What a {@link CompressedPacker} works on. */
export interface CompressedPackerParts {
  readonly geometry: Geometry;
  readonly refcounts: Refcounts;
  readonly allocator: Allocator;
  readonly drops: Drops;
}

/**
 * Gives out host bytes for compressed clusters, one behind the other. Each that touches a host cluster
 * counts as one reference to it; nothing is given out of a cluster that no mapping and no write under way
 * refers to any more, because somebody else may have it by then.
 */
export class CompressedPacker {
  readonly #parts: CompressedPackerParts;
  /** Where the next bytes go, unless that is a cluster boundary; undefined for a new host cluster. */
  #next: number | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: CompressedPackerParts) {
    this.#parts = parts;
  }

  /**
   * Sets bytes aside, in the order of the calls, and raises the refcount of each host cluster that they
   * touch by one, in memory.
   *
   * @param length - 1 to less than a cluster
   * @returns byte offset within the file
   * @throws LamellaError `CORRUPT`, `LIMIT_EXCEEDED`, `NO_SPACE`, `IO_ERROR`
   */
  reserve(length: number): Promise<number> {
    const reserved = this.#turn.then(() => this.#reserve(length));
    this.#turn = reserved.then(
      () => undefined,
      () => undefined,
    );
    return reserved;
  }

  /** A host cluster is free again. */
  forget(cluster: number): void {
    if (this.#isOpen(cluster)) {
      this.#next = undefined;
    }
  }

  async #reserve(length: number): Promise<number> {
    const { geometry, allocator, drops } = this.#parts;
    const { clusterSize } = geometry;
    const at = this.#next;
    if (at !== undefined && (at % clusterSize) + length <= clusterSize && (await this.#join(at))) {
      return this.#take(at, length);
    }
    const { offset } = await allocator.allocate(1);
    try {
      const spans = at !== undefined && Math.ceil(at / clusterSize) * clusterSize === offset;
      return this.#take(spans && (await this.#join(at)) ? at : offset, length);
    } catch (error) {
      drops.add(offset, clusterSize, false);
      throw error;
    }
  }

  #take(offset: number, length: number): number {
    const end = offset + length;
    this.#next = end % this.#parts.geometry.clusterSize === 0 ? undefined : end;
    return offset;
  }

  /** Adds a reference to the host cluster around `at`; false if it can't be used any further. */
  async #join(at: number): Promise<boolean> {
    const { geometry, refcounts } = this.#parts;
    const cluster = Math.floor(at / geometry.clusterSize);
    while (this.#isOpen(cluster)) {
      const slice = refcounts.cache.get(refcounts.sliceOffset(cluster));
      if (slice !== undefined) {
        const value = refcounts.in(slice, cluster);
        if (value < 1 || value >= refcounts.width.max) {
          return false;
        }
        refcounts.put(slice, cluster, value + 1);
        return true;
      }
      await refcounts.cache.load(refcounts.sliceOffset(cluster));
    }
    return false;
  }

  #isOpen(cluster: number): boolean {
    const { clusterSize } = this.#parts.geometry;
    return this.#next !== undefined && Math.floor(this.#next / clusterSize) === cluster;
  }
}
