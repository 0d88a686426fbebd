import { alignUp, isLamellaError } from '@lamella/core';
import { Clearer } from '../write/clearer.js';
import type { WriteParts } from '../write-parts.js';
import { neededL1 } from './check-resize.js';

/**
 * Drops all whole clusters behind the disk's end, and the L2 tables that describe nothing else. The L1 table
 * keeps its length.
 *
 * @param size - of the disk, bytes; durable already
 * @throws LamellaError `CORRUPT`, `NO_SPACE` (to copy a table that a snapshot shares), `IO_ERROR`
 */
export async function dropBehindEnd(parts: WriteParts, size: number): Promise<void> {
  const { geometry, l1, pressure, writer } = parts;
  const { clusterSize, l2Span } = geometry;
  for (let index = neededL1(size, geometry); index < l1.length; index += 1) {
    if (l1.get(index) !== 0) {
      await dropTable(parts, index);
      if (pressure.high) {
        await pressure.relieve();
      }
    }
  }
  const start = alignUp(size, clusterSize);
  const end = Math.min(alignUp(size, l2Span), l1.length * l2Span);
  if (start < end) {
    const rule = { zeroBelow: true, unmap: true, forget: true };
    await new Clearer(writer, pressure).clear(start, end - start, rule);
  }
}

/** Drops an L2 table and everything it refers to. No flush comes between: all of it goes at once. */
async function dropTable(parts: WriteParts, l1Index: number): Promise<void> {
  const { geometry, l1, tables, writer, drops } = parts;
  const offset = tables.offset(l1Index);
  for (let index = 0; index * geometry.sliceSize < geometry.clusterSize; index += 1) {
    const slice = await tables.load(l1Index, index);
    for (let entry = 0; entry < geometry.sliceEntries; entry += 1) {
      writer.drop(slice, entry, true);
    }
  }
  l1.set(l1Index, 0);
  drops.add(offset, geometry.clusterSize, true);
}

/**
 * Cuts off what the end of the file holds and nothing uses. Where the storage can't be made shorter, it stays.
 *
 * @throws LamellaError `CORRUPT`, `IO_ERROR`
 */
export async function trimFile({ storage, allocator, geometry }: WriteParts): Promise<void> {
  const end = (await allocator.end()) * geometry.clusterSize;
  if (end < storage.size) {
    await storage.flush();
    try {
      await storage.truncate(end);
    } catch (error) {
      if (!isLamellaError(error, 'UNSUPPORTED')) {
        throw error;
      }
    }
  }
}
