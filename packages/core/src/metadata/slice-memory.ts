import { viewOf } from '../bytes/index.js';

/**
 * Turns of the microtask queue before memory is used again. Whoever was handed a slice uses it in one of
 * the next few turns, however many others wait: the queue is first in, first out.
 */
const TURNS = 64;
/** Pieces that wait for that together. */
const BATCH = 32;
/** Most pieces kept for later. */
const MAX_SPARE = 128;

/** Memory of one slice. */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/**
 * Memory of cached slices, used again and again. Left to the garbage collector, 64 MiB of it lie about
 * before V8 looks at them.
 */
export class SliceMemory {
  readonly #size: number;
  /** Nobody uses these any more. */
  readonly #spare: Piece[] = [];
  /** Somebody may be about to use these. */
  #recent: Piece[] = [];

  /**
   * @param size - bytes of one piece
   */
  constructor(size: number) {
    this.#size = size;
  }

  /** A piece of any content, to be overwritten as a whole. */
  take(): Piece {
    return this.#spare.pop() ?? this.fresh();
  }

  /** A piece of zeroes. */
  fresh(): Piece {
    const bytes = new Uint8Array(this.#size);
    return { bytes, view: viewOf(bytes) };
  }

  /** A piece that left the cache; its slice is not handed out any more. */
  give(piece: Piece): void {
    this.#recent.push(piece);
    if (this.#recent.length === BATCH) {
      const batch = this.#recent;
      this.#recent = [];
      void this.#cool(batch);
    }
  }

  async #cool(batch: readonly Piece[]): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) {
      await undefined;
    }
    this.#spare.push(...batch.slice(0, MAX_SPARE - this.#spare.length));
  }
}
