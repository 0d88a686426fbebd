import type { Allocator } from './allocator.js';

/** What {@link allocateContiguously} works on. */
export interface ContiguousParts {
  readonly allocator: Allocator;
}

/**
 * Sets many clusters aside that lie one behind the other, for a table, while nothing else is allocated.
 *
 * @param count - clusters, at least 1
 * @returns byte offset of the first
 * @throws LamellaError as `Allocator.allocate`
 */
export async function allocateContiguously(
  { allocator }: ContiguousParts,
  count: number,
): Promise<number> {
  return (await allocator.allocateContiguous(count)).offset;
}
