import type { Slice } from './slice.js';

/** Slices looked at for one that may leave: a cache full of dirty ones costs no scan per insertion. */
const MAX_STEPS = 16;

/** The slices of a cache in a ring, with a hand that gives those a second chance that were used again. */
export class SliceClock {
  readonly #ring: Slice[] = [];
  #hand = 0;

  /** All slices, in no order. */
  get slices(): readonly Slice[] {
    return this.#ring;
  }

  /** Takes a slice in, behind the hand. */
  add(slice: Slice): void {
    slice.place = this.#ring.length;
    this.#ring.push(slice);
  }

  /** Forgets a slice that is there. */
  delete(slice: Slice): void {
    const last = this.#ring.pop();
    if (last !== undefined && last !== slice) {
      this.#ring[slice.place] = last;
      last.place = slice.place;
    }
  }

  /**
   * A slice that may leave: not dirty, not being written, not used for a round, and not the newest, whose
   * caller is about to use it. None if there is none among the next few.
   */
  next(newest: Slice): Slice | undefined {
    for (let step = 0; step < MAX_STEPS; step += 1) {
      if (this.#hand >= this.#ring.length) {
        this.#hand = 0;
      }
      const slice = this.#ring[this.#hand];
      this.#hand += 1;
      if (slice !== undefined && slice !== newest && !slice.dirty && slice.writing === 0) {
        if (!slice.used) {
          return slice;
        }
        slice.used = false;
      }
    }
    return undefined;
  }
}
