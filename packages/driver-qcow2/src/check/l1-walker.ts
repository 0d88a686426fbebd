import { viewOf } from '@lamella/core';
import { hostOffset } from '../mapping/l2-entry.js';
import type { CheckRun } from './check-run.js';
import { entryText } from './entry-text.js';
import { L2Walker } from './l2-walker.js';

/** Bytes of an L1 table that are read at once. */
const CHUNK = 64 * 1024;
/** Bits 56-62 and 0-8 of an L1 entry. */
const RESERVED_HIGH = 0x7f00_0000;
const RESERVED_LOW = 0x1ff;

/**
 * Counts an L1 table and all that it refers to.
 *
 * @param offset - byte offset of the table
 * @param length - its entries
 * @param statistics - whether its clusters count as the guest's: for the active table
 * @throws LamellaError `ABORTED`, and as `Storage.read` and `Storage.write`
 */
export async function walkL1(
  run: CheckRun,
  offset: number,
  length: number,
  statistics: boolean,
): Promise<void> {
  const { clusterSize } = run.geometry;
  const walker = new L2Walker(run);
  run.count(offset, length * 8);
  const end = Math.min(offset + length * 8, run.storage.size);
  for (let at = offset; at < end; at += CHUNK) {
    const piece = new Uint8Array(Math.min(CHUNK, offset + length * 8 - at));
    await run.read(piece, at);
    const view = viewOf(piece);
    for (let entry = 0; entry < piece.length; entry += 8) {
      const high = view.getUint32(entry);
      const low = view.getUint32(entry + 4);
      if ((high | low) === 0) {
        continue;
      }
      run.step();
      if ((high & RESERVED_HIGH) !== 0 || (low & RESERVED_LOW) !== 0) {
        run.tally.corruption(
          `an L1 entry has reserved bits set: ${entryText(high, low)}`,
          at + entry,
        );
      }
      const table = hostOffset(high, low);
      run.count(table, clusterSize);
      if (table % clusterSize !== 0) {
        run.tally.corruption(`an L2 table is at byte ${table}, which is not aligned`, at + entry);
      }
      await walker.walk(table, statistics);
    }
  }
}
