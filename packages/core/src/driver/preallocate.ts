import { MAX_ZEROES, zeroes } from '../bytes/index.js';
import { throwIfAborted } from '../errors/index.js';
import type { Storage } from '../storage/index.js';
import type { Preallocation } from './image.js';
import type { LongOperation } from './long-operation.js';

/**
 * Bytes that are written at the beginning of an empty storage: where there is data, the alignment that direct I/O
 * needs can be found out by reading. QEMU's tools do the same.
 */
const FIRST_BLOCK = 4096;
/** Bytes reserved by one call, so that a long preallocation can be ended. */
const STEP = 256 * 1024 * 1024;

/**
 * Makes a range at the end of a storage, growing it: as a hole (`off`, `metadata`), with space reserved
 * (`falloc`), or with zeroes written (`full`). The first 4 KiB of an empty storage are written in any case.
 *
 * @param start - where the storage's content ends, bytes
 * @param end - where it is to end, bytes
 * @throws LamellaError `ABORTED`, `NO_SPACE`, and as `Storage.write`; the caller cuts the storage again
 */
export async function preallocate(
  storage: Storage,
  start: number,
  end: number,
  preallocation: Preallocation,
  operation: LongOperation = {},
): Promise<void> {
  if (storage.size === 0 && end > 0 && preallocation !== 'full') {
    await storage.write(zeroes(Math.min(FIRST_BLOCK, end)), 0);
  }
  if (preallocation === 'off' || preallocation === 'metadata') {
    await storage.truncate(end);
  } else {
    await reserveZeroes(storage, start, end, preallocation, operation);
  }
}

/**
 * Makes a range read as zeroes and takes space for all of it.
 *
 * @param start - first byte, in bytes of the storage
 * @param end - first byte behind
 * @param preallocation - `falloc` reserves blocks where the platform can, `full` writes zeroes
 * @throws LamellaError `ABORTED`, `NO_SPACE`, and as `Storage.write`
 */
export async function reserveZeroes(
  storage: Storage,
  start: number,
  end: number,
  preallocation: 'falloc' | 'full',
  { signal, onProgress }: LongOperation = {},
): Promise<void> {
  const step = preallocation === 'full' ? MAX_ZEROES : STEP;
  for (let position = start; position < end; ) {
    throwIfAborted(signal, storage.location);
    const length = Math.min(step, end - position);
    if (preallocation === 'full') {
      await storage.write(zeroes(length), position);
    } else {
      await storage.writeZeroes(position, length, { unmap: false });
    }
    position += length;
    onProgress?.({ done: position - start, total: end - start });
  }
}

/** The kinds of preallocation, as users name them. */
export const PREALLOCATIONS: readonly Preallocation[] = ['off', 'metadata', 'falloc', 'full'];
