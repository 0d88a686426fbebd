import { sameBytes } from './bytes.js';

/** A change of a disk. `bytes` is what a write writes; zeroing and discarding have none. */
export interface Change {
  readonly kind: 'write' | 'zero' | 'discard';
  readonly offset: number;
  readonly length: number;
  readonly bytes?: Uint8Array;
}

/** A stretch that the same changes cover. */
export interface Segment {
  readonly start: number;
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

/** What a change leaves in a stretch that it covers, where it has its way. */
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

/** What a disk must hold after each batch of requests. */
export class DiskModel {
  /** The disk, byte for byte. */
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /**
   * Asserts what a read returned that was under way together with changes: each byte as before, or as
   * one of the changes leaves it.
   */
  checkRead(offset: number, found: Uint8Array, together: readonly Change[]): void {
    const end = offset + found.length;
    const cuts = segments(together, offset, end);
    let position = offset;
    for (const { start, end: segmentEnd, changes } of [...cuts, { start: end, end, changes: [] }]) {
      this.#checkStretch(position, start, found, offset, []);
      this.#checkStretch(start, segmentEnd, found, offset, changes);
      position = segmentEnd;
    }
  }

  /**
   * Takes over a batch of changes that have all ended. Where several met, or a discard was among them,
   * what the disk holds now must be a possible outcome and stays so from then on.
   *
   * @param read - reads the disk
   */
  async settle(
    batch: readonly Change[],
    read: (offset: number, length: number) => Promise<Uint8Array>,
  ): Promise<void> {
    for (const { start, end, changes } of segments(batch, 0, this.bytes.length)) {
      const outcomes = this.#outcomes(start, end, changes);
      const [only] = outcomes;
      if (outcomes.length === 1 && only !== undefined) {
        this.bytes.set(only, start);
      } else {
        const found = await read(start, end - start);
        const kinds = changes.map(({ kind }) => kind).join(', ');
        assertOneOf(found, outcomes, start, `after ${kinds}`);
        this.bytes.set(found, start);
      }
    }
  }

  #outcomes(start: number, end: number, changes: readonly Change[]): readonly Uint8Array[] {
    const writers = changes.filter(({ kind }) => kind !== 'discard');
    const outcomes = writers.map((change) => changedBytes(change, start, end));
    if (writers.length === 0) {
      outcomes.push(this.bytes.slice(start, end));
    }
    if (writers.length < changes.length) {
      outcomes.push(new Uint8Array(end - start));
    }
    return outcomes;
  }

  #checkStretch(
    start: number,
    end: number,
    found: Uint8Array,
    offset: number,
    changes: readonly Change[],
  ): void {
    if (start < end) {
      const allowed = [
        this.bytes.subarray(start, end),
        ...changes.map((change) => changedBytes(change, start, end)),
      ];
      const context = changes.length === 0 ? 'read' : 'read during changes';
      assertOneOf(found.subarray(start - offset, end - offset), allowed, start, context);
    }
  }
}
