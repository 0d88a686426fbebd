import { LamellaError } from '@lamella/core';
import { unsupported } from './errors.js';
import { EXTENSION, findExtension } from './header/extensions.js';
import { AUTOCLEAR, type FeatureBits, hasFeature, INCOMPATIBLE } from './header/features.js';
import { FIELD, type Header } from './header/header.js';

/**
 * Refuses images that this driver would read wrongly.
 *
 * @throws LamellaError `UNSUPPORTED`
 */
export function assertReadable(header: Header, location: string): void {
  if (hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile)) {
    throw unsupported(
      location,
      'the image keeps its data in an external data file',
      'External data files are not supported; convert the image with qemu-img convert.',
    );
  }
}

/**
 * Refuses images that must not be written to, or whose data this driver would make stale. Images that
 * were not closed cleanly are repaired by `repairUnclean`.
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
  if (hasValidBitmaps(header)) {
    throw unsupported(
      location,
      'the image has persistent bitmaps, which writing would make stale',
      'Open it read-only, or remove them with qemu-img bitmap --remove.',
    );
  }
}

/** The autoclear features that may stay when this driver writes to the image. */
export function keptAutoclear(header: Header): FeatureBits {
  return { high: 0, low: hasValidBitmaps(header) ? 1 << AUTOCLEAR.bitmaps : 0 };
}

/** Whether there are bitmaps that match the data. */
export function hasValidBitmaps(header: Header): boolean {
  return (
    hasFeature(header.autoclear, AUTOCLEAR.bitmaps) &&
    findExtension(header.extensions, EXTENSION.bitmaps) !== undefined
  );
}
