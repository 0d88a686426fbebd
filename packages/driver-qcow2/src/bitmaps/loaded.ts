import { alignUp, isLamellaError, type LamellaError, type Storage } from '@lamella/core';
import { corrupt } from '../errors.js';
import type { Header } from '../header/header.js';
import { type BitmapRecord, FLAG, readDirectory } from './directory.js';
import { type BitmapsExtension, parseBitmapsExtension } from './extension.js';
import { type BitmapScale, tableLength } from './limits.js';

/** The bitmaps of an image as the storage has them. */
export interface LoadedBitmaps {
  /** Where the directory is; undefined without bitmaps. */
  readonly extension: BitmapsExtension | undefined;
  readonly records: readonly BitmapRecord[];
  /** Why the bitmaps can't be used; the disk can be read all the same. */
  readonly failure?: LamellaError | undefined;
}

/**
 * Reads the bitmap directory. Damage is remembered instead of thrown: it hurts nobody who only reads.
 *
 * @throws LamellaError `IO_ERROR`
 */
export async function loadBitmaps(storage: Storage, header: Header): Promise<LoadedBitmaps> {
  const scale = { size: header.size, clusterSize: 2 ** header.clusterBits };
  try {
    const extension = parseBitmapsExtension(header, storage.location);
    if (extension === undefined) {
      return { extension, records: [] };
    }
    const records = await readDirectory(storage, extension, scale.clusterSize);
    assertTables(records, scale, storage);
    return { extension, records };
  } catch (error) {
    if (
      isLamellaError(error, 'CORRUPT') ||
      isLamellaError(error, 'UNSUPPORTED') ||
      isLamellaError(error, 'LIMIT_EXCEEDED')
    ) {
      return { extension: undefined, records: [], failure: error };
    }
    throw error;
  }
}

/** Every table has the length that the disk's size asks for, and they lie in the file, apart from each other. */
function assertTables(
  records: readonly BitmapRecord[],
  scale: BitmapScale,
  { location, size }: Storage,
): void {
  for (const { name, flags, granularityBits, table } of records) {
    const expected = tableLength(scale, granularityBits);
    if ((flags & FLAG.inUse) === 0 && table.entries !== expected) {
      throw corrupt(
        location,
        table.offset,
        `the table of the bitmap '${name}' has ${table.entries} entries instead of ${expected}`,
      );
    }
  }
  const byOffset = records.map(({ table }) => table).sort((a, b) => a.offset - b.offset);
  let end = 0;
  for (const { offset, entries } of byOffset) {
    if (offset < end) {
      throw corrupt(location, offset, 'two bitmap tables lie over each other');
    }
    end = offset + entries * 8;
  }
  if (end > alignUp(size, scale.clusterSize)) {
    throw corrupt(location, end, 'a bitmap table reaches behind the end of the file');
  }
}
