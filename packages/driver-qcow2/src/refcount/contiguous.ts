import type { Geometry } from '../geometry.js';
import type { Allocator } from './allocator.js';
import type { Drops } from './drops.js';

/** What {@link allocateContiguously} works on. */
export interface ContiguousParts {
  readonly allocator: Allocator;
  readonly drops: Drops;
  readonly geometry: Geometry;
}

/**
 * Sets many clusters aside that lie one behind the other, for a table, while nothing else is allocated.
 * Runs that turn out too short on the way are given back with the next flush.
 *
 * @param count - clusters, at least 1
 * @returns byte offset of the first
 * @throws LamellaError as `Allocator.allocate`; nothing is kept then
 */
export async function allocateContiguously(
  { allocator, drops, geometry }: ContiguousParts,
  count: number,
): Promise<number> {
  const { clusterSize, refcountBlockEntries } = geometry;
  if (count >= refcountBlockEntries) {
    await allocator.makeRoom(count);
  }
  let offset = 0;
  let found = 0;
  const short: { readonly offset: number; readonly count: number }[] = [];
  try {
    while (found < count) {
      const run = await allocator.allocate(count - found);
      if (found === 0 || offset + found * clusterSize !== run.offset) {
        if (found > 0) {
          short.push({ offset, count: found });
        }
        offset = run.offset;
        found = 0;
      }
      found += run.count;
    }
    return offset;
  } catch (error) {
    short.push({ offset, count: found });
    throw error;
  } finally {
    for (const run of short.filter((one) => one.count > 0)) {
      drops.add(run.offset, run.count * clusterSize, false);
    }
  }
}
