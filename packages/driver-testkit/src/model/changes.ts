import { sameBytes } from './bytes.js';

/** A change of a disk. `bytes` is what a write writes; zeroing and discarding have none. */
export interface Change {
  /** What was asked for. */
  readonly kind: 'write' | 'zero' | 'discard';
  /** First byte of the disk. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** What a write writes. */
  readonly bytes?: Uint8Array;
}

/** A stretch that the same changes cover. */
export interface Segment {
  /** First byte. */
  readonly start: number;
  /** Byte behind the last. */
  readonly end: number;
  /** In order of their begin. */
  readonly changes: readonly Change[];
}

/** Cuts the part of a disk that changes touch into stretches with the same changes each. */
export function segments(changes: readonly Change[], from: number, to: number): Segment[] {
  const cuts = new Set<number>();
  for (const { offset, length } of changes) {
    for (const cut of [offset, offset + length]) {
      cuts.add(Math.min(to, Math.max(from, cut)));
    }
  }
  const sorted = [...cuts].sort((a, b) => a - b);
  return sorted.slice(1).flatMap((end, i) => {
    const start = sorted[i] ?? from;
    const covering = changes.filter((c) => c.offset <= start && end <= c.offset + c.length);
    return covering.length === 0 ? [] : [{ start, end, changes: covering }];
  });
}

/**
 * What a change leaves in a stretch that it covers, where it has its way.
 *
 * @param start - first byte of the disk
 * @param end - byte behind the last
 */
export function changedBytes(change: Change, start: number, end: number): Uint8Array {
  return (
    change.bytes?.subarray(start - change.offset, end - change.offset) ??
    new Uint8Array(end - start)
  );
}

/**
 * Asserts that each byte is one of those that it may be.
 *
 * @param start - position of the first byte, for the message
 * @throws Error that says which byte is not, and what it could have been
 */
export function assertOneOf(
  found: Uint8Array,
  allowed: readonly Uint8Array[],
  start: number,
  context: string,
): void {
  if (allowed.some((bytes) => sameBytes(bytes, found))) {
    return;
  }
  const at = found.findIndex((byte, i) => allowed.every((bytes) => bytes[i] !== byte));
  if (at >= 0) {
    const wanted = allowed.map((bytes) => bytes[at]).join(' or ');
    throw new Error(`${context}: byte ${start + at} is ${found[at]}, not ${wanted}`);
  }
}
