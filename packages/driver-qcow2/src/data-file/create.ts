import { type CreateOptions, LamellaError } from '@lamella/core';
import type { NewDataFile } from './options.js';

/**
 * Makes the data file of a new image, or takes the one that is there, as long as the disk at least; durable
 * when it resolves.
 *
 * @param size - bytes of the guest's disk
 * @throws LamellaError `UNSUPPORTED` when whoever makes the image makes no data files, and what making or
 * opening it throws
 */
export async function makeDataFile(
  { name, keep }: NewDataFile,
  size: number,
  { openDataFile }: Pick<CreateOptions, 'openDataFile'>,
): Promise<void> {
  if (openDataFile === undefined) {
    throw new LamellaError('UNSUPPORTED', "an image can't have a data file here", {
      hint: 'Make the image as a file, or without data_file.',
    });
  }
  const storage = await openDataFile({ location: name }, keep);
  if (storage.size < size || (!keep && storage.size > size)) {
    await storage.truncate(size);
  }
  await storage.flush();
}
