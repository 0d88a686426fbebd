import { readableSize } from '../terminal/sizes.js';
import type { ColumnScale } from './columns.js';

/** A mark on the axis. */
export interface Tick {
  /** Byte of the guest's disk. */
  readonly position: number;
  readonly label: string;
}

/** Most marks between beginning and end. */
const MOST_TICKS = 9;
/** Least distance of a mark from the end, as a share of the axis: the labels must not meet. */
const END_GAP = 0.07;

/** Marks at round offsets (powers of two and their multiples), and one at either end. */
export function ticksOf({ offset, length }: ColumnScale): readonly Tick[] {
  const end = offset + length;
  let step = 512;
  while (length / step > MOST_TICKS) {
    step *= 2;
  }
  const ticks: Tick[] = [{ position: offset, label: readableOffset(offset) }];
  for (let at = (Math.floor(offset / step) + 1) * step; at < end; at += step) {
    const free = at - offset > length * END_GAP && end - at > length * END_GAP;
    if (free) {
      ticks.push({ position: at, label: readableOffset(at) });
    }
  }
  if (length > 0) {
    ticks.push({ position: end, label: readableOffset(end) });
  }
  return ticks;
}

function readableOffset(position: number): string {
  return position === 0 ? '0' : readableSize(position);
}
