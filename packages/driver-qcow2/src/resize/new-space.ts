import { alignUp, type ResizeOptions } from '@lamella/core';
import { Clearer } from '../write/clearer.js';
import type { WriteParts } from '../write-parts.js';
import { SpaceFiller } from './space-filler.js';

/** The part of the disk that is to come. */
export interface NewSpace {
  /** Size of the disk now, bytes. */
  readonly from: number;
  /** Size that it is to get. */
  readonly to: number;
  /** How far a layer below reaches, bytes. */
  readonly backingSize: number;
}

/**
 * Lets what lies behind the disk's end, from the next whole cluster on, read as zeroes once the disk reaches
 * there. The L1 table is long enough.
 *
 * @throws LamellaError `ABORTED`, `NO_SPACE`, `LIMIT_EXCEEDED`, `CORRUPT`, `IO_ERROR`
 */
export async function prepareNewSpace(
  parts: WriteParts,
  { from, to, backingSize }: NewSpace,
  options: ResizeOptions,
): Promise<void> {
  const { clusterSize, hasZeroFlag } = parts.geometry;
  const start = alignUp(from, clusterSize);
  if (to <= start) {
    return;
  }
  const clearer = new Clearer(parts.writer, parts.pressure);
  // Whoever made the disk smaller may have left something here.
  await clearer.clear(start, to - start, { zeroBelow: true, unmap: true, forget: true });
  const { preallocation = 'off' } = options;
  // A data file that is a raw image has its clusters mapped, as those of a new image are.
  if (preallocation !== 'off' || parts.geometry.rawData) {
    await new SpaceFiller(parts, preallocation, options).fill(start, to);
    return;
  }
  const shown = Math.min(to, alignUp(Math.min(to, backingSize), clusterSize));
  if (shown <= start) {
    return;
  }
  if (hasZeroFlag) {
    await clearer.clear(start, shown - start, { zeroBelow: false, unmap: true });
  } else if (parts.encryption === undefined) {
    await new SpaceFiller(parts, 'metadata', { signal: options.signal }).fill(start, shown);
  }
}
