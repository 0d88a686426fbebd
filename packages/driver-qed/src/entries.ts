import type { CachedSlice } from '@lamella/core';
import { ENTRY_SIZE, SLICE_ENTRIES } from './geometry.js';

const TWO_32 = 0x1_0000_0000;

/** Entry of a cluster (or L2 table) that is not allocated (specification: "Data cluster offsets"). */
export const UNALLOCATED = 0;
/** Entry of a cluster that reads as zeroes and has no space (specification: "Data cluster offsets"). */
export const ZERO = 1;

/**
 * An entry of a table's slice. Values above 2^53 lose low bits, which does no harm: they are beyond
 * the end of any file and refused for it.
 *
 * @param index - within the slice, 0 to 511
 */
export function entryAt(slice: CachedSlice, index: number): number {
  const position = index * ENTRY_SIZE;
  const low = slice.view.getUint32(position, true);
  const high = slice.view.getUint32(position + 4, true);
  return high * TWO_32 + low;
}

/**
 * Changes neighbouring entries.
 *
 * @param index - of the first entry within the slice
 * @param count - entries to change; they end within the slice
 * @param first - value of the first
 * @param step - what each following one is larger by
 */
export function setEntries(
  slice: CachedSlice,
  index: number,
  count: number,
  first: number,
  step: number,
): void {
  for (let i = 0; i < count; i += 1) {
    const value = first + i * step;
    const position = (index + i) * ENTRY_SIZE;
    const high = Math.floor(value / TWO_32);
    slice.view.setUint32(position, value - high * TWO_32, true);
    slice.view.setUint32(position + 4, high, true);
  }
}

/**
 * How many entries from `index` on, within the slice, are `first`, `first + step`, ...
 *
 * @param max - where to stop counting, at least 1
 * @returns at least 1: the first entry is known to be `first`
 */
export function runLength(
  slice: CachedSlice,
  index: number,
  max: number,
  first: number,
  step: number,
): number {
  const limit = Math.min(max, SLICE_ENTRIES - index);
  let count = 1;
  while (count < limit && entryAt(slice, index + count) === first + count * step) {
    count += 1;
  }
  return count;
}

/** How many entries from `index` on, within the slice, have no host cluster; at most `max`. */
export function unplacedLength(slice: CachedSlice, index: number, max: number): number {
  const limit = Math.min(max, SLICE_ENTRIES - index);
  let count = 0;
  while (count < limit && entryAt(slice, index + count) <= ZERO) {
    count += 1;
  }
  return count;
}

/** How many entries from `index` on, to the end of the slice at most, are {@link UNALLOCATED}. */
export function unallocatedLength(slice: CachedSlice, index: number): number {
  return runLength(slice, index, SLICE_ENTRIES, UNALLOCATED, 0);
}
