import type { Storage } from '@lamella/core';
import type { Geometry } from '../geometry.js';
import type { L2Entries } from '../mapping/l2-entries.js';
import type { Allocator } from '../refcount/allocator.js';
import type { Drops } from '../refcount/drops.js';
import type { Refcounts } from '../refcount/refcounts.js';
import type { PointerTable } from '../tables/pointer-table.js';

/** The parts of an image that changes of its snapshots work on. Everything is flushed. */
export interface ChangeParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly l1: PointerTable;
  readonly entries: L2Entries;
  readonly refcounts: Refcounts;
  readonly allocator: Allocator;
  readonly drops: Drops;
  readonly flusher: { flush(): Promise<void> };
}
