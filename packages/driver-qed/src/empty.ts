import type { Storage } from '@lamella/core';
import type { AllocatorState } from './allocator.js';
import type { Flusher } from './flusher.js';
import type { Geometry } from './geometry.js';

/**
 * Drops all mappings durably and cuts the file behind the L1 table. The image is marked as in need of a
 * check, so that a crash in between leaves nothing that the next open does not mend.
 *
 * @returns what may be given out afterwards
 * @throws LamellaError as `Storage.write` and `Storage.truncate`
 */
export async function dropMappings(
  storage: Storage,
  { l1Offset, tableBytes, headerEnd, clusterSize }: Geometry,
  flusher: Flusher,
): Promise<AllocatorState> {
  await storage.writeZeroes(l1Offset, tableBytes);
  await flusher.sync();
  const end = l1Offset + tableBytes;
  await storage.truncate(end);
  const before = { offset: headerEnd, count: (l1Offset - headerEnd) / clusterSize };
  return { end, free: before.count > 0 ? [before] : [] };
}
