import type { WriteParts } from '../write-parts.js';

/**
 * Gives up the last refcount blocks, as long as they count nothing but themselves, so that the file can end
 * before them.
 *
 * @throws LamellaError `CORRUPT`, `IO_ERROR`
 */
export async function dropEmptyBlocks(parts: WriteParts): Promise<void> {
  const { refcounts, geometry, drops } = parts;
  const { table } = refcounts;
  for (let index = table.length - 1; index > 0; index -= 1) {
    const block = table.get(index);
    if (block === 0) {
      continue;
    }
    const own = block / geometry.clusterSize;
    if (!(await countsOnly(parts, index, own))) {
      return;
    }
    table.set(index, 0);
    // Its own count goes with it.
    if (refcounts.blockIndex(own) !== index) {
      drops.add(block, geometry.clusterSize, true);
    }
  }
}

async function countsOnly(parts: WriteParts, index: number, own: number): Promise<boolean> {
  const { refcounts, geometry } = parts;
  const { refcountBlockEntries, refcountSliceEntries } = geometry;
  const first = index * refcountBlockEntries;
  for (let at = first; at < first + refcountBlockEntries; at += refcountSliceEntries) {
    const slice = await refcounts.cache.load(refcounts.sliceOffset(at));
    for (let cluster = at; cluster < at + refcountSliceEntries; cluster += 1) {
      if (cluster !== own && refcounts.in(slice, cluster) !== 0) {
        return false;
      }
    }
  }
  return true;
}
