import type { Geometry } from '../geometry.js';
import type { AllocatedRun, Allocator } from './allocator.js';
import type { Drops } from './drops.js';

/** Runs that may turn out too short before space is made behind everything. */
const ATTEMPTS = 3;

/** What contiguous space is taken from. */
export interface ContiguousParts {
  readonly geometry: Geometry;
  readonly allocator: Allocator;
  readonly drops: Drops;
}

/**
 * Sets space aside that is in one piece, as tables need it, and raises its refcounts in memory.
 *
 * @param bytes - how much, at least 1
 * @returns byte offset within the file
 * @throws LamellaError as `Allocator.allocate`
 */
export async function allocateContiguous(parts: ContiguousParts, bytes: number): Promise<number> {
  const { geometry, allocator, drops } = parts;
  const count = Math.ceil(bytes / geometry.clusterSize);
  const short: AllocatedRun[] = [];
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const run = await allocator.allocate(count);
      if (run.count === count) {
        return run.offset;
      }
      short.push(run);
    }
    return await allocator.allocateBehind(count);
  } finally {
    for (const run of short) {
      drops.add(run.offset, run.count * geometry.clusterSize, false);
    }
  }
}
