import type { CheckRun } from './check-run.js';
import { MAX_CLUSTERS } from './reference-counts.js';

/** Most bytes by which a repair lets the file grow to reach a refcount block: a bit more is plausible. */
const MAX_GROWTH = 1024 * 1024 * 1024;

/**
 * Counts the refcount table and its blocks. Blocks that are not where blocks can be, or that something
 * else uses as well, ask for a rebuild.
 *
 * @throws LamellaError as `Storage.truncate`
 */
export async function walkRefcountBlocks(run: CheckRun): Promise<void> {
  const { refcounts, tally, geometry } = run;
  const { clusterSize } = geometry;
  run.count(refcounts.offset, refcounts.length * 8);
  for (let index = 0; index < refcounts.length; index += 1) {
    const { offset, aligned, reserved } = refcounts.entry(index);
    const position = refcounts.offset + index * 8;
    if (reserved) {
      tally.corruption(`refcount table entry ${index} has reserved bits set`, position);
      run.rebuild = true;
    } else if (!aligned) {
      tally.corruption(
        `refcount block ${index} is at byte ${offset}, which is not aligned`,
        position,
      );
      run.rebuild = true;
    } else if (offset / clusterSize >= run.counts.length) {
      await walkOutside(run, index, offset);
    } else if (offset !== 0) {
      run.count(offset, clusterSize);
      const references = run.counts.get(offset / clusterSize);
      if (references !== 1) {
        tally.corruption(`refcount block ${index} is referred to ${references} times`, position);
        run.rebuild = true;
      }
    }
  }
}

/** A block behind the end of the file: a repair lets the file reach it, unless that is far away. */
async function walkOutside(run: CheckRun, index: number, offset: number): Promise<void> {
  const { storage, refcounts, tally } = run;
  const { clusterSize } = run.geometry;
  const end = offset + clusterSize;
  const reachable =
    run.mending && end <= storage.size + MAX_GROWTH && end / clusterSize <= MAX_CLUSTERS;
  if (reachable) {
    await storage.truncate(end);
    run.counts.grow(end / clusterSize);
    run.count(offset, clusterSize);
  } else if (run.mending) {
    run.rebuild = true;
  }
  const far = run.mending && !reachable ? ', too far to let it grow' : '';
  const problem = `refcount block ${index} at byte ${offset} is outside of the file${far}`;
  tally.corruption(problem, refcounts.offset + index * 8, reachable);
}
