import type { StorageExtent } from '@lamella/core';
import { ERRNO, SEEK_DATA, SEEK_HOLE } from '../native/constants.js';
import type { NativeCalls } from '../native/native-calls.js';

/**
 * Where a range within a file is sparse. Asks for metadata only, so it is called on the spot.
 *
 * @param offset - within the file
 * @param length - at least 1, and within the file
 */
export function sparseExtent(
  fd: number,
  seek: NonNullable<NativeCalls['seek']>,
  offset: number,
  length: number,
): StorageExtent {
  const data = seek(fd, offset, SEEK_DATA);
  if (data === -ERRNO.ENXIO) {
    return { kind: 'hole', length };
  }
  if (data > offset) {
    return { kind: 'hole', length: Math.min(length, data - offset) };
  }
  const hole = data < 0 ? data : seek(fd, offset, SEEK_HOLE);
  // Nothing but data can be said for sure when the file system does not answer.
  return { kind: 'data', length: hole > offset ? Math.min(length, hole - offset) : length };
}
