import { assertOneOf, type Change, changedBytes, segments } from './changes.js';

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
   * @throws Error when the disk holds what no order of the changes gives, and what reading throws
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
