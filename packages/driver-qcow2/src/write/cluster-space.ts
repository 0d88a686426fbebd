import type { Awaitable } from '@lamella/core';
import type { AllocatedRun, Allocator } from '../refcount/allocator.js';
import type { Drops } from '../refcount/drops.js';

/** Where guest clusters get host clusters from, and where these go when they are not needed any more. */
export interface ClusterSpace {
  /** Byte offset from which on host clusters need not be filled. */
  readonly end: number;
  /**
   * Sets contiguous host clusters aside.
   *
   * @param guest - guest offset of the first cluster
   * @param wanted - most clusters to give
   * @returns at least one cluster
   * @throws LamellaError `CORRUPT`, `LIMIT_EXCEEDED`, `NO_SPACE`, `IO_ERROR`
   */
  allocate(guest: number, wanted: number): Awaitable<AllocatedRun>;
  /**
   * Notes that host space is not referred to any longer by the mapping in memory.
   *
   * @param giveBack - the storage may be told
   */
  drop(offset: number, length: number, giveBack: boolean): void;
}

/** Host clusters in the image file, with refcounts. */
export class RefcountedSpace implements ClusterSpace {
  readonly end = Number.POSITIVE_INFINITY;
  readonly #allocator: Allocator;
  readonly #drops: Drops;

  constructor(allocator: Allocator, drops: Drops) {
    this.#allocator = allocator;
    this.#drops = drops;
  }

  allocate(_guest: number, wanted: number): Awaitable<AllocatedRun> {
    return this.#allocator.allocate(wanted);
  }

  drop(offset: number, length: number, giveBack: boolean): void {
    this.#drops.add(offset, length, giveBack);
  }
}
