import { LamellaError, type Storage } from '@lamella/core';
import { hasFeature, INCOMPATIBLE } from '../header/features.js';
import { FIELD, type Header } from '../header/header.js';
import { readHeader } from '../header/parse.js';
import { checkStorage } from './check.js';

/**
 * Repairs an image whose dirty bit says that its refcounts may be stale, before it is opened for
 * writing, and clears the bit. Others are left alone.
 *
 * @returns the header as it is then
 * @throws LamellaError `CORRUPT` when damage is left, `LIMIT_EXCEEDED`, `IO_ERROR`
 */
export async function repairUnclean(storage: Storage, header: Header): Promise<Header> {
  if (!hasFeature(header.incompatible, INCOMPATIBLE.dirty)) {
    return header;
  }
  const { corruptions, checkErrors, findings } = await checkStorage(storage, { repair: 'all' });
  if (corruptions > 0 || checkErrors > 0) {
    const left = findings.find(({ fixed }) => !fixed)?.message ?? 'damage is left';
    throw new LamellaError(
      'CORRUPT',
      `the image was not closed cleanly and could not be repaired: ${left}`,
      {
        location: storage.location,
        offset: FIELD.incompatible,
        hint: 'Open it read-only and copy what can be read, or restore it from a backup.',
      },
    );
  }
  return readHeader(storage);
}
