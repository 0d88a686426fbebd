import {
  type CreateOptions,
  LamellaError,
  type LongOperation,
  type Preallocation,
  preallocate,
  reserveZeroes,
} from '@lamella/core';
import type { NewDataFile } from './options.js';

/**
 * Makes the data file of a new image, or takes the one that is there, as long as the disk at least; durable
 * when it resolves. What a file that is kept holds is left as it is; space is reserved behind it.
 *
 * @param size - bytes of the guest's disk
 * @param preallocation - `falloc` and `full` take space for the disk
 * @throws LamellaError `ABORTED`, `UNSUPPORTED` when whoever makes the image makes no data files, and what making or
 * opening it throws
 */
export async function makeDataFile(
  { name, keep }: NewDataFile,
  size: number,
  preallocation: Preallocation,
  { openDataFile, signal, onProgress }: Pick<CreateOptions, 'openDataFile' | keyof LongOperation>,
): Promise<void> {
  if (openDataFile === undefined) {
    throw new LamellaError('UNSUPPORTED', "an image can't have a data file here", {
      hint: 'Make the image as a file, or without data_file.',
    });
  }
  const storage = await openDataFile({ location: name }, keep);
  const reserved = keep ? storage.size : 0;
  if ((preallocation === 'falloc' || preallocation === 'full') && reserved < size) {
    await reserveZeroes(storage, reserved, size, preallocation, { signal, onProgress });
  }
  if (storage.size < size) {
    await preallocate(storage, storage.size, size, 'off');
  } else if (!keep && storage.size > size) {
    await storage.truncate(size);
  }
  await storage.flush();
}
