import { sameBytes } from './same-bytes.js';

/** Smallest run of zeroes that is looked for, in bytes. */
export const ZERO_GRANULE = 512;

/** A part of a buffer. */
export interface Run {
  readonly start: number;
  readonly end: number;
}

/**
 * The parts of a buffer that are worth writing: all but runs of zeroes of at least `sparse` bytes.
 *
 * @param sparse - shortest run of zeroes that is left out, in bytes; 0 leaves nothing out
 * @param granule - unit in which bytes are looked at: a multiple of 4
 */
export function dataRuns(bytes: Uint8Array, sparse: number, granule: number): readonly Run[] {
  const words = wordsOf(bytes);
  return runsBetween(bytes.length, sparse, granule, (start, end) =>
    isZeroRange(words, bytes, start, end),
  );
}

/**
 * The same for a range that is looked at by somebody else.
 *
 * @param length - bytes of the range
 * @param isZeroAt - whether a granule, from its first byte to its end, is all zeroes
 */
export function runsBetween(
  length: number,
  sparse: number,
  granule: number,
  isZeroAt: (start: number, end: number) => boolean,
): readonly Run[] {
  if (sparse === 0) {
    return [{ start: 0, end: length }];
  }
  const runs: Run[] = [];
  let start: number | undefined;
  let end = 0;
  for (let offset = 0; offset < length; offset += granule) {
    const stop = Math.min(length, offset + granule);
    if (isZeroAt(offset, stop)) {
      continue;
    }
    if (start !== undefined && offset - end >= sparse) {
      runs.push({ start, end });
      start = offset;
    }
    // A run of zeroes at the range's edge may go on outside, so it counts as long enough.
    start ??= offset;
    end = stop;
  }
  if (start !== undefined) {
    runs.push({ start, end });
  }
  return runs;
}

/** Whether all bytes are zero. */
export function isZero(bytes: Uint8Array): boolean {
  return isZeroRange(wordsOf(bytes), bytes, 0, bytes.length);
}

/**
 * Offset of the first unit of bytes in which two buffers of one length differ.
 *
 * @param granule - bytes of a unit: a multiple of 4
 */
export function firstDifference(
  left: Uint8Array,
  right: Uint8Array,
  granule: number,
): number | undefined {
  if (sameBytes?.(left, right) === true) {
    return undefined;
  }
  const [a, b] = [wordsOf(left), wordsOf(right)];
  const words = Math.min(a.length, b.length);
  for (let word = 0; word < words; word += 1) {
    if (a[word] !== b[word]) {
      return alignTo(word * 4, granule);
    }
  }
  for (let offset = words * 4; offset < left.length; offset += 1) {
    if (left[offset] !== right[offset]) {
      return alignTo(offset, granule);
    }
  }
  return undefined;
}

function alignTo(offset: number, granule: number): number {
  return offset - (offset % granule);
}

/** The whole words of a buffer; none if its memory does not begin at a multiple of 4 bytes. */
function wordsOf(bytes: Uint8Array): Int32Array {
  if (bytes.byteOffset % 4 !== 0) {
    return new Int32Array();
  }
  return new Int32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
}

/** Words that are looked at in one turn of a loop. */
const TURN = 8;

function isZeroRange(words: Int32Array, bytes: Uint8Array, start: number, end: number): boolean {
  const last = Math.min(words.length, Math.floor(end / 4));
  let word = start / 4;
  for (; word + TURN <= last; word += TURN) {
    if (anyOf(words, word) !== 0) {
      return false;
    }
  }
  for (let offset = word * 4; offset < end; offset += 1) {
    if (bytes[offset] !== 0) {
      return false;
    }
  }
  return true;
}

/** All bits that are set in one of eight words. */
function anyOf(words: Int32Array, at: number): number {
  return (
    (words[at] ?? 0) |
    (words[at + 1] ?? 0) |
    (words[at + 2] ?? 0) |
    (words[at + 3] ?? 0) |
    (words[at + 4] ?? 0) |
    (words[at + 5] ?? 0) |
    (words[at + 6] ?? 0) |
    (words[at + 7] ?? 0)
  );
}
