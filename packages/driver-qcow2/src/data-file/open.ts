import { LamellaError, type OpenOptions, type Storage } from '@lamella/core';
import { hasFeature, INCOMPATIBLE } from '../header/features.js';
import type { Header } from '../header/header.js';
import { LeftOutDataFile } from './left-out.js';

/**
 * Opens the external data file of an image, by way of whoever opens the image.
 *
 * @param location - of the image
 * @returns undefined for an image without one; something that can't be read when the file was left out
 * @throws LamellaError `REFERENCE_DENIED` for an image that is to be written without its data file, and what
 * opening the file throws
 */
export async function openDataFile(
  header: Header,
  location: string,
  options: OpenOptions,
): Promise<Storage | undefined> {
  if (!hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile)) {
    return undefined;
  }
  const { dataFile } = header;
  const reference = dataFile === undefined ? undefined : { location: dataFile };
  const storage = await options.openDataFile?.(reference);
  if (storage === undefined && options.writable) {
    throw new LamellaError(
      'REFERENCE_DENIED',
      `its data file '${dataFile ?? ''}' was not opened, so the image can't be written`,
      {
        location,
        hint: 'Open it read-only, allow the file in `references`, or give it as `dataFile`.',
      },
    );
  }
  return storage ?? new LeftOutDataFile(dataFile ?? '', location);
}
