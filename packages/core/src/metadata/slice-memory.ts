import { Slice } from './slice.js';

/**
 * Turns of the microtask queue before a slice is used again. Whoever was handed it uses it in one of the next
 * few turns, however many others wait: the queue is first in, first out.
 */
const TURNS = 64;
/** Slices that wait for that together. */
const BATCH = 128;
/** Most slices kept for later. */
const MAX_SPARE = 256;

/**
 * Slices, used again and again. Left to the garbage collector, 64 MiB of them lie about before V8 looks at
 * them.
 */
export class SliceMemory {
  readonly #size: number;
  /** Nobody uses these any more. */
  readonly #spare: Slice[] = [];
  /** Somebody may be about to use these. */
  #recent: Slice[] = [];

  /**
   * @param size - bytes of one slice
   */
  constructor(size: number) {
    this.#size = size;
  }

  /** A slice of any content, to be overwritten as a whole. */
  take(offset: number): Slice {
    const slice = this.#spare.pop();
    if (slice === undefined) {
      return this.fresh(offset);
    }
    slice.offset = offset;
    slice.used = false;
    return slice;
  }

  /** A slice of zeroes. */
  fresh(offset: number): Slice {
    return new Slice(offset, this.#size);
  }

  /** A clean slice that left the cache and is not handed out any more. */
  give(slice: Slice): void {
    this.#recent.push(slice);
    if (this.#recent.length === BATCH) {
      const batch = this.#recent;
      this.#recent = [];
      void this.#cool(batch);
    }
  }

  async #cool(batch: readonly Slice[]): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) {
      await undefined;
    }
    for (const slice of batch) {
      if (this.#spare.length < MAX_SPARE) {
        this.#spare.push(slice);
      }
    }
  }
}
