import {
  alignUp,
  isLamellaError,
  preallocate,
  type ResizeOptions,
  reserveZeroes,
  type Storage,
} from '@lamella/core';

const SECTOR = 512;

/**
 * Makes an external data file long enough for a larger disk, with zeroes in all that the disk gains, and
 * durable. A file that is longer already keeps what lies behind the new end.
 *
 * @param from - size of the disk now, bytes
 * @param to - size that it is to get
 * @throws LamellaError `ABORTED`, `NO_SPACE`, and as `Storage.write`
 */
export async function growDataFile(
  data: Storage,
  from: number,
  to: number,
  { preallocation = 'off', signal, onProgress }: ResizeOptions,
): Promise<void> {
  // A sector is ciphered as a whole, so the one in which the disk ends is left to whoever has the key.
  const start = alignUp(from, SECTOR);
  if (preallocation === 'falloc' || preallocation === 'full') {
    await reserveZeroes(data, start, to, preallocation, { signal, onProgress });
  } else {
    const stale = Math.min(data.size, to) - start;
    if (stale > 0) {
      await data.writeZeroes(start, stale);
    }
  }
  if (data.size < to) {
    await preallocate(data, data.size, to, 'off');
  }
  await data.flush();
}

/**
 * Cuts off what an external data file holds behind the disk's end. Where it can't be made shorter, it stays.
 *
 * @param size - of the disk, bytes; durable already
 * @throws LamellaError as `Storage.truncate`
 */
export async function cutDataFile(data: Storage, size: number): Promise<void> {
  if (data.size <= size) {
    return;
  }
  try {
    await data.truncate(size);
  } catch (error) {
    if (!isLamellaError(error, 'UNSUPPORTED')) {
      throw error;
    }
  }
  await data.flush();
}
