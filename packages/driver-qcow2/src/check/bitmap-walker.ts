import { alignUp, viewOf } from '@lamella/core';
import { EXTENSION, findExtension } from '../header/extensions.js';
import { AUTOCLEAR, hasFeature } from '../header/features.js';
import { hostOffset } from '../mapping/l2-entry.js';
import type { CheckRun } from './check-run.js';

const TWO_32 = 0x1_0000_0000;
/** Fixed bytes of a directory entry. */
const FIXED = 24;
/** Most bytes of the directory, and entries of a bitmap's table, that QEMU reads. */
const MAX_DIRECTORY = 64 * 1024 * 1024;
const MAX_TABLE_ENTRIES = 0x800_0000;
const MAX_NAME = 1023;
const CHUNK = 64 * 1024;

/** Where a bitmap's table is. */
interface BitmapTable {
  readonly offset: number;
  readonly entries: number;
}

/**
 * Counts the bitmap directory, tables and data (specification: "Bitmaps"), if the header says that they
 * are valid.
 *
 * @returns false when the directory can't be read, so that nobody knows what is in use
 * @throws LamellaError `ABORTED`, and as `Storage.read`
 */
export async function walkBitmaps(run: CheckRun): Promise<boolean> {
  const extension = findExtension(run.header.extensions, EXTENSION.bitmaps);
  if (extension === undefined || !hasFeature(run.header.autoclear, AUTOCLEAR.bitmaps)) {
    return true;
  }
  if (extension.data.length < 24) {
    run.tally.corruption('the bitmaps extension is too short');
    return false;
  }
  const view = viewOf(extension.data);
  const count = view.getUint32(0);
  const size = view.getUint32(8) * TWO_32 + view.getUint32(12);
  const offset = view.getUint32(16) * TWO_32 + view.getUint32(20);
  run.count(offset, size);
  const tables = size > MAX_DIRECTORY ? undefined : await readDirectory(run, offset, size, count);
  if (tables === undefined) {
    run.tally.corruption('the bitmap directory is damaged', offset);
    return false;
  }
  for (const table of tables) {
    run.step();
    run.count(table.offset, table.entries * 8);
    if (!(await walkTable(run, table))) {
      return false;
    }
  }
  return true;
}

async function readDirectory(
  run: CheckRun,
  offset: number,
  size: number,
  count: number,
): Promise<BitmapTable[] | undefined> {
  if (offset + size > run.storage.size) {
    return undefined;
  }
  const bytes = new Uint8Array(size);
  await run.read(bytes, offset);
  const view = viewOf(bytes);
  const tables: BitmapTable[] = [];
  let at = 0;
  while (at < size) {
    if (at + FIXED > size) {
      return undefined;
    }
    const table = {
      offset: view.getUint32(at) * TWO_32 + view.getUint32(at + 4),
      entries: view.getUint32(at + 8),
    };
    const name = view.getUint16(at + 18);
    const extra = view.getUint32(at + 20);
    const end = at + alignUp(FIXED + name + extra, 8);
    const granularity = view.getUint8(at + 17);
    if (
      end > size ||
      name === 0 ||
      name > MAX_NAME ||
      extra !== 0 ||
      view.getUint8(at + 16) !== 1 ||
      (view.getUint32(at + 12) & ~7) !== 0 ||
      granularity < 9 ||
      granularity > 31 ||
      table.entries === 0 ||
      table.entries > MAX_TABLE_ENTRIES ||
      table.offset === 0 ||
      table.offset % run.geometry.clusterSize !== 0
    ) {
      return undefined;
    }
    tables.push(table);
    at = end;
  }
  return tables.length === count ? tables : undefined;
}

/** Counts a bitmap's table; false when it names data that can't be known. */
async function walkTable(run: CheckRun, table: BitmapTable): Promise<boolean> {
  let known = true;
  const { clusterSize } = run.geometry;
  const end = Math.min(table.offset + table.entries * 8, run.storage.size);
  for (let at = table.offset; at < end; at += CHUNK) {
    const piece = new Uint8Array(Math.min(CHUNK, table.offset + table.entries * 8 - at));
    await run.read(piece, at);
    const view = viewOf(piece);
    for (let entry = 0; entry < piece.length; entry += 8) {
      const high = view.getUint32(entry);
      const low = view.getUint32(entry + 4);
      const data = hostOffset(high, low);
      if (
        high >>> 24 !== 0 ||
        (low & 0x1fe) !== 0 ||
        data % clusterSize !== 0 ||
        (data !== 0 && (low & 1) !== 0)
      ) {
        run.tally.corruption('a bitmap table entry is invalid', at + entry);
        known = false;
      } else if (data !== 0) {
        run.count(data, clusterSize);
      }
    }
  }
  return known;
}
