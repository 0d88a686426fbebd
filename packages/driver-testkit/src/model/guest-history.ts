import type { Timeline } from '../storage/timeline.js';
import { assertOneOf, type Change, changedBytes, segments } from './changes.js';

interface Made {
  readonly change: Change;
  readonly began: number;
  ended: number;
}

/**
 * What a guest did and what it was told, to say what it may find after a crash. Changes that are under
 * way together must not overlap.
 */
export class GuestHistory {
  readonly #timeline: Timeline;
  readonly #initial: Uint8Array;
  readonly #made: Made[] = [];
  readonly #flushes: { readonly began: number; readonly ended: number }[] = [];

  /**
   * @param timeline - that of the storage whose crashes are looked at
   * @param initial - content of the disk before the first change
   */
  constructor(timeline: Timeline, initial: Uint8Array) {
    this.#timeline = timeline;
    this.#initial = initial;
  }

  /**
   * Makes a change and notes when.
   *
   * @throws what making the change throws
   */
  async change(change: Change, make: () => Promise<void>): Promise<void> {
    const made: Made = { change, began: this.#timeline.tick(), ended: Number.POSITIVE_INFINITY };
    this.#made.push(made);
    await make();
    made.ended = this.#timeline.tick();
  }

  /**
   * Flushes and notes when: changes that had ended before it began are acknowledged when it ends.
   *
   * @throws what flushing throws
   */
  async flush(flush: () => Promise<void>): Promise<void> {
    const began = this.#timeline.tick();
    await flush();
    this.#flushes.push({ began, ended: this.#timeline.tick() });
  }

  /**
   * Asserts that a disk after a crash holds every acknowledged change, or a later one, byte for byte.
   *
   * @throws Error at the first byte that is neither
   */
  check(found: Uint8Array, moment: number): void {
    const durable = this.#flushes.filter(({ ended }) => ended <= moment).map(({ began }) => began);
    const acknowledgedUntil = Math.max(-1, ...durable);
    const made = this.#made.filter(({ began }) => began <= moment);
    const acknowledged = new Set(
      made.filter(({ ended }) => ended < acknowledgedUntil).map(({ change }) => change),
    );
    const whole: Change = {
      kind: 'write',
      offset: 0,
      length: found.length,
      bytes: this.#initial,
    };
    const all = [whole, ...made.map(({ change }) => change)];
    for (const { start, end, changes } of segments(all, 0, found.length)) {
      let possible: Uint8Array[] = [];
      for (const change of changes) {
        const value = changedBytes(change, start, end);
        const replaces = change.kind !== 'discard' && acknowledged.has(change);
        possible = replaces || change === whole ? [value] : [...possible, value];
      }
      const kinds = changes.map((c) => `${c.kind}${acknowledged.has(c) ? '!' : ''}`).join(' ');
      assertOneOf(found.subarray(start, end), possible, start, `after a crash (${kinds})`);
    }
  }
}
