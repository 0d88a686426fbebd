import type { SourceDisks } from './source-pieces.js';
import { isZero, type Run, runsBetween } from './zero-runs.js';

/** Bytes at the beginning of a granule that mostly tell that it is not all zeroes. */
const SAMPLE = 4096;
/** Bytes that are read at once of a granule whose beginning is zeroes. */
const STEP = 64 * 1024;

/**
 * The parts of a range that are worth writing, found by reading as little of it as possible.
 *
 * @param offset - first byte of the range
 * @param length - bytes of the range
 * @param sparse - shortest run of zeroes that is left out, in bytes
 * @param granule - unit in which bytes are looked at
 */
export async function sampledRuns(
  source: SourceDisks,
  offset: number,
  length: number,
  sparse: number,
  granule: number,
): Promise<readonly Run[]> {
  const buffer = new Uint8Array(STEP);
  const zero = new Set<number>();
  for (let start = 0; start < length; start += granule) {
    const end = Math.min(length, start + granule);
    if (await readsZeroes(source, offset + start, offset + end, buffer)) {
      zero.add(start);
    }
  }
  return runsBetween(length, sparse, granule, (start) => zero.has(start));
}

async function readsZeroes(
  source: SourceDisks,
  start: number,
  end: number,
  buffer: Uint8Array,
): Promise<boolean> {
  for (let position = start; position < end; ) {
    const most = position === start ? SAMPLE : STEP;
    const part = buffer.subarray(0, Math.min(most, end - position));
    await source.read(part, position);
    if (!isZero(part)) {
      return false;
    }
    position += part.length;
  }
  return true;
}
