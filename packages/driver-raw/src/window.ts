import {
  alignUp,
  LamellaError,
  type OptionSchema,
  type OptionValues,
  parseOptions,
} from '@lamella/core';

/** Bytes of a sector: disks have whole ones only. */
export const SECTOR_SIZE = 512;

/** Open options, named as QEMU names them. */
export const OPEN_OPTIONS: OptionSchema = {
  offset: {
    type: 'size',
    description: 'Byte of the file at which the disk begins',
    default: 0,
  },
  size: {
    type: 'size',
    description:
      'Size of the disk in bytes, a multiple of 512; up to the end of the file by default',
  },
};

/** Which part of a storage is the disk. */
export interface Window {
  /** First byte. */
  readonly offset: number;
  /** Bytes, where the caller gave them: such a disk keeps its size. */
  readonly size: number | undefined;
}

/**
 * Reads and checks the open options.
 *
 * @param storageSize - bytes
 * @param location - of the storage, for messages
 * @throws LamellaError `INVALID_ARGUMENT`, `OUT_OF_RANGE` for a window that reaches past the storage
 */
export function parseWindow(values: OptionValues, storageSize: number, location: string): Window {
  const { offset, size } = parseOptions(OPEN_OPTIONS, values, 'opening a raw image');
  const window = {
    offset: typeof offset === 'number' ? offset : 0,
    size: typeof size === 'number' ? size : undefined,
  };
  // A file that ends within a sector counts as ending with it.
  const end = alignUp(storageSize, SECTOR_SIZE);
  if (window.size !== undefined && window.size % SECTOR_SIZE !== 0) {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      `a disk can't have a size of ${window.size} bytes, which is no multiple of ${SECTOR_SIZE}`,
      { location, hint: 'Round the size to whole sectors.' },
    );
  }
  if (window.offset + (window.size ?? 0) > end) {
    throw new LamellaError(
      'OUT_OF_RANGE',
      `the disk's ${window.size ?? 0} bytes from offset ${window.offset} reach past the storage's ${end} bytes`,
      { location, offset: window.offset, hint: 'Give an offset and size within the file.' },
    );
  }
  return window;
}

/** Size of the disk that a window shows: whole sectors. */
export function windowSize({ offset, size }: Window, storageSize: number): number {
  return size ?? alignUp(Math.max(0, alignUp(storageSize, SECTOR_SIZE) - offset), SECTOR_SIZE);
}
