import { type AddBitmapOptions, isPowerOfTwo, LamellaError } from '@lamella/core';
import { unsupported } from '../errors.js';
import type { Header } from '../header/header.js';
import { FLAG } from './directory.js';
import {
  type BitmapScale,
  bitCount,
  GRANULARITY_BITS,
  MAX_BITMAP_BYTES,
  MAX_BITMAPS,
  MAX_NAME,
} from './limits.js';
import type { WantedBitmap } from './store-beside.js';

/** Default granularity: that of the clusters, within these bounds. In bytes. */
const DEFAULT_GRANULARITY = { min: 4096, max: 65536 } as const;

/** The image that a new bitmap is for. */
export interface BitmapHost {
  /** Names that are taken. */
  readonly names: readonly string[];
  readonly version: Header['version'];
  readonly scale: BitmapScale;
  readonly location: string;
}

/**
 * A bitmap that has recorded nothing.
 *
 * @throws LamellaError `UNSUPPORTED`, `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `LIMIT_EXCEEDED`
 */
export function newBitmap(
  { name, granularity, recording = true }: AddBitmapOptions,
  host: BitmapHost,
): WantedBitmap {
  const { scale, location } = host;
  assertPossible(host);
  const granularityBits = granularityOf(granularity, scale, location);
  const nameBytes = new TextEncoder().encode(name);
  if (nameBytes.length === 0 || nameBytes.length > MAX_NAME) {
    throw new LamellaError('INVALID_ARGUMENT', `a bitmap's name of ${nameBytes.length} bytes`, {
      location,
      hint: `It must have from 1 to ${MAX_NAME} bytes.`,
    });
  }
  if (host.names.includes(name)) {
    throw new LamellaError('ALREADY_EXISTS', `there is a bitmap '${name}' already`, {
      location,
      hint: 'Choose another name, or remove it first.',
    });
  }
  assertBitmapSize(name, scale.size, granularityBits, location);
  const flags = recording ? FLAG.auto : 0;
  return { name, nameBytes, flags, granularityBits, table: undefined, added: [] };
}

function assertPossible({ names, version, scale, location }: BitmapHost): void {
  if (version !== 3) {
    throw unsupported(
      location,
      'version 2 images cannot store bitmaps',
      'Upgrade the image: amend it to compat=1.1.',
    );
  }
  if (scale.size === 0) {
    throw unsupported(location, 'a disk of 0 bytes with bitmaps', 'Resize it first.');
  }
  if (names.length === MAX_BITMAPS) {
    throw new LamellaError('LIMIT_EXCEEDED', `the image has ${MAX_BITMAPS} bitmaps already`, {
      location,
      hint: 'Remove some first.',
    });
  }
}

function granularityOf(
  wanted: number | undefined,
  { clusterSize }: BitmapScale,
  location: string,
): number {
  const { min, max } = DEFAULT_GRANULARITY;
  const bytes = wanted ?? Math.min(max, Math.max(min, clusterSize));
  const [least, most] = [2 ** GRANULARITY_BITS.min, 2 ** GRANULARITY_BITS.max];
  if (!isPowerOfTwo(bytes) || bytes < least || bytes > most) {
    throw new LamellaError('INVALID_ARGUMENT', `a bitmap can't have a granularity of ${bytes}`, {
      location,
      hint: `It must be a power of two from ${least} to ${most} bytes.`,
    });
  }
  return Math.log2(bytes);
}

/**
 * Refuses bitmaps that take too much space.
 *
 * @param size - of the disk, in bytes
 * @throws LamellaError `LIMIT_EXCEEDED`
 */
export function assertBitmapSize(
  name: string,
  size: number,
  granularityBits: number,
  location: string,
): void {
  if (bitCount(size, granularityBits) > MAX_BITMAP_BYTES * 8) {
    throw new LamellaError('LIMIT_EXCEEDED', `the bitmap '${name}' would take too much space`, {
      location,
      hint: `At most ${MAX_BITMAP_BYTES} bytes are supported; use a larger granularity.`,
    });
  }
}
