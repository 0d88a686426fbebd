import { LamellaError } from '@lamella/core';
import { unsupported } from './errors.js';
import { EXTENSION, findExtension } from './header/extensions.js';
import {
  AUTOCLEAR,
  type FeatureBits,
  hasFeature,
  INCOMPATIBLE,
  NO_FEATURES,
  withFeature,
} from './header/features.js';
import { FIELD, type Header } from './header/header.js';

/**
 * Refuses images that nobody can read rightly.
 *
 * @throws LamellaError `INVALID_HEADER`
 */
export function assertReadable(header: Header, location: string): void {
  if (
    hasFeature(header.autoclear, AUTOCLEAR.rawExternalData) &&
    !hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile)
  ) {
    throw new LamellaError('INVALID_HEADER', 'the data file is to be raw, but there is none', {
      location,
      offset: FIELD.autoclear,
      hint: 'Bit 1 of the autoclear features needs bit 2 of the incompatible features.',
    });
  }
}

/**
 * Refuses images that must not be written to. Images that were not closed cleanly are repaired by
 * `repairUnclean`.
 *
 * @throws LamellaError `UNSUPPORTED`, `CORRUPT`
 */
export function assertWritable(header: Header, location: string): void {
  if (hasFeature(header.incompatible, INCOMPATIBLE.corrupt)) {
    throw new LamellaError('CORRUPT', 'the image is marked as corrupt', {
      location,
      offset: FIELD.incompatible,
      hint: "Open it read-only, or repair it: check with repair 'all', or qemu-img check -r all.",
    });
  }
  if (hasFeature(header.autoclear, AUTOCLEAR.rawExternalData) && header.backing !== undefined) {
    throw unsupported(
      location,
      'the data file is to be the whole disk, but the image has a backing file',
      'Open it read-only, or take the backing file out with qemu-img rebase -u.',
    );
  }
}

/** The autoclear features that may stay when this driver writes to the image. */
export function keptAutoclear(header: Header): FeatureBits {
  const raw = hasFeature(header.autoclear, AUTOCLEAR.rawExternalData);
  return withFeature(
    withFeature(NO_FEATURES, AUTOCLEAR.bitmaps, hasValidBitmaps(header)),
    AUTOCLEAR.rawExternalData,
    raw,
  );
}

/** Whether the image has bitmaps that are up to date, as far as the header tells. */
export function hasValidBitmaps(header: Header): boolean {
  return (
    hasFeature(header.autoclear, AUTOCLEAR.bitmaps) &&
    findExtension(header.extensions, EXTENSION.bitmaps) !== undefined
  );
}
