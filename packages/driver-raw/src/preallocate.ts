import {
  LamellaError,
  type LongOperation,
  MAX_ZEROES,
  type Preallocation,
  type Storage,
  throwIfAborted,
  zeroes,
} from '@lamella/core';

/** Bytes reserved by one call, so that a long preallocation can be ended. */
const STEP = 256 * 1024 * 1024;

/**
 * The kinds of preallocation that a raw image has; there is no metadata to preallocate.
 *
 * @throws LamellaError `INVALID_ARGUMENT`
 */
export function checkPreallocation(value: Preallocation, location?: string): void {
  if (value === 'metadata') {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      "a raw image has no metadata, so there is no preallocation 'metadata'",
      { location, hint: "Use 'off', 'falloc' or 'full'." },
    );
  }
}

/**
 * Makes a range at the end of the storage, growing it: as a hole, with space reserved, or with zeroes
 * written.
 *
 * @param start - where the storage's content ends, bytes
 * @param end - where it is to end
 * @throws LamellaError `ABORTED`, `NO_SPACE`, and as `Storage.write`; the caller cuts the storage again
 */
export async function preallocate(
  storage: Storage,
  start: number,
  end: number,
  preallocation: Preallocation,
  { signal, onProgress }: LongOperation = {},
): Promise<void> {
  if (preallocation === 'off') {
    await storage.truncate(end);
    return;
  }
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
