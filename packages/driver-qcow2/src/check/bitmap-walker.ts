import { isLamellaError, viewOf } from '@lamella/core';
import { type BitmapRecord, readDirectory, type TablePlace } from '../bitmaps/directory.js';
import { type BitmapsExtension, parseBitmapsExtension } from '../bitmaps/extension.js';
import { ALL_ONES, ALL_ZEROES, parseTableEntry } from '../bitmaps/table.js';
import type { CheckRun } from './check-run.js';

const CHUNK = 64 * 1024;

/**
 * Counts the bitmap directory, tables and data (specification: "Bitmaps"), if the header says that they
 * are valid.
 *
 * @returns false when the directory can't be read, so that nobody knows what is in use
 * @throws LamellaError `ABORTED`, and as `Storage.read`
 */
export async function walkBitmaps(run: CheckRun): Promise<boolean> {
  const extension = findBitmaps(run);
  if (extension === undefined || extension === 'damaged') {
    return extension === undefined;
  }
  run.count(extension.offset, extension.size);
  const records = await readRecords(run, extension);
  if (records === undefined) {
    run.tally.corruption('the bitmap directory is damaged', extension.offset);
    return false;
  }
  for (const { table } of records) {
    run.step();
    run.count(table.offset, table.entries * 8);
    if (!(await walkTable(run, table))) {
      return false;
    }
  }
  return true;
}

function findBitmaps(run: CheckRun): BitmapsExtension | 'damaged' | undefined {
  try {
    return parseBitmapsExtension(run.header, run.storage.location);
  } catch {
    run.tally.corruption('the bitmaps extension is too short');
    return 'damaged';
  }
}

async function readRecords(
  run: CheckRun,
  extension: BitmapsExtension,
): Promise<readonly BitmapRecord[] | undefined> {
  try {
    return await readDirectory(run.storage, extension, run.geometry.clusterSize);
  } catch (error) {
    if (isLamellaError(error, 'IO_ERROR')) {
      throw error;
    }
    return undefined;
  }
}

/** Counts a bitmap's table; false when it names data that can't be known. */
async function walkTable(run: CheckRun, table: TablePlace): Promise<boolean> {
  let known = true;
  const { clusterSize } = run.geometry;
  const end = Math.min(table.offset + table.entries * 8, run.storage.size);
  for (let at = table.offset; at < end; at += CHUNK) {
    const piece = new Uint8Array(Math.min(CHUNK, table.offset + table.entries * 8 - at));
    await run.read(piece, at);
    const view = viewOf(piece);
    for (let entry = 0; entry < piece.length; entry += 8) {
      const data = parseTableEntry(view.getUint32(entry), view.getUint32(entry + 4), clusterSize);
      if (data === undefined) {
        run.tally.corruption('a bitmap table entry is invalid', at + entry);
        known = false;
      } else if (data !== ALL_ZEROES && data !== ALL_ONES) {
        run.count(data, clusterSize);
      }
    }
  }
  return known;
}
