import { alignUp, LamellaError } from '@lamella/core';
import {
  BAT_OFFSET,
  ENTRY_SIZE,
  MAX_ENTRIES,
  MAX_OLD_SECTORS,
  type ParallelsHeader,
  SECTOR,
} from './header.js';

/**
 * What a disk of a size takes.
 *
 * @param size - bytes; rounded up to whole sectors
 * @returns the size and how many clusters that are
 * @throws LamellaError `LIMIT_EXCEEDED` when it is too large for the kind of image, or its entries do not fit
 */
export function planSize(
  size: number,
  image: Pick<ParallelsHeader, 'magic' | 'clusterSize' | 'dataStart'>,
  location?: string,
): { readonly size: number; readonly entries: number } {
  const { magic, clusterSize, dataStart } = image;
  const whole = alignUp(size, SECTOR);
  const entries = Math.ceil(whole / clusterSize);
  const room = Math.floor((dataStart - BAT_OFFSET) / ENTRY_SIZE);
  const problem = !Number.isSafeInteger(whole)
    ? 'it has more than 2^53 bytes'
    : magic === 'WithoutFreeSpace' && whole > MAX_OLD_SECTORS * SECTOR
      ? 'images of this kind have up to 2 TiB'
      : entries > MAX_ENTRIES
        ? `it has more than ${MAX_ENTRIES} clusters`
        : entries > room
          ? `the image has room for ${room} clusters, it needs ${entries}`
          : undefined;
  if (problem !== undefined) {
    throw new LamellaError('LIMIT_EXCEEDED', `a disk of ${size} bytes is too large: ${problem}`, {
      location,
      hint: 'Larger clusters make room for larger disks.',
    });
  }
  return { size: whole, entries };
}
