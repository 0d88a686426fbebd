import { LamellaError, type ResizeOptions } from '@lamella/core';
import { unsupported } from '../errors.js';
import type { Geometry } from '../geometry.js';
import { type Header, MAX_L1_BYTES } from '../header/header.js';

const SECTOR = 512;

/** Entries that the L1 table of a disk has at least. */
export function neededL1(size: number, { l2Span }: Geometry): number {
  return Math.ceil(size / l2Span);
}

/**
 * Whether an image may get a new size, by the rules of QEMU.
 *
 * @param size - bytes
 * @throws LamellaError `INVALID_ARGUMENT`, `UNSUPPORTED`, `LIMIT_EXCEEDED`
 */
export function checkResize(
  header: Header,
  geometry: Geometry,
  size: number,
  { preallocation = 'off' }: ResizeOptions,
  location: string,
): void {
  if (size % SECTOR !== 0) {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      `the new size must be a multiple of ${SECTOR}, and ${size} is none`,
      { location },
    );
  }
  if (header.version === 2 && header.snapshotCount > 0 && size !== header.size) {
    throw unsupported(
      location,
      "a version 2 image with snapshots can't be resized",
      'Its snapshots have no sizes of their own. Upgrade it first (amend compat=1.1).',
    );
  }
  if (preallocation !== 'off') {
    checkPreallocation(header, size, location);
  }
  if (neededL1(size, geometry) * 8 > MAX_L1_BYTES || !Number.isSafeInteger(size)) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `a disk of ${size} bytes is too large for clusters of ${geometry.clusterSize} bytes`,
      { location, hint: 'Convert the image to larger clusters.' },
    );
  }
}

function checkPreallocation(header: Header, size: number, location: string): void {
  if (size < header.size) {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      'space can be preallocated only when an image grows',
      { location, hint: 'Leave the preallocation away to make the image smaller.' },
    );
  }
  if (header.version === 2 && header.cryptMethod !== 0) {
    throw unsupported(
      location,
      "an encrypted version 2 image can't grow with preallocation",
      'It has no way to say that reserved space reads as zeroes. Upgrade it first (amend compat=1.1).',
    );
  }
}
