import type { Slice } from './slice.js';

const FEWEST_SLOTS = 64;
/** 2^32 divided by the golden ratio: neighbours end up far apart. */
const GOLDEN = 0x9e37_79b1;

/**
 * The slices of a cache by their offset: a hash table with open addressing. A `Map` would make a new table of
 * hundreds of KiB every few thousand misses, which pile up until V8 looks at them.
 */
export class SliceIndex {
  readonly #sliceSize: number;
  #slots: (Slice | undefined)[] = new Array<Slice | undefined>(FEWEST_SLOTS).fill(undefined);
  #shift = 32 - Math.log2(FEWEST_SLOTS);
  #size = 0;

  /** @param sliceSize - bytes, a power of two; offsets are multiples */
  constructor(sliceSize: number) {
    this.#sliceSize = sliceSize;
  }

  /** How many slices there are. */
  get size(): number {
    return this.#size;
  }

  /** The slice at an offset. */
  get(offset: number): Slice | undefined {
    return this.#slots[this.#find(offset)];
  }

  /** Takes a slice in; none is there with its offset. */
  add(slice: Slice): void {
    if ((this.#size + 1) * 2 > this.#slots.length) {
      this.#grow();
    }
    this.#slots[this.#find(slice.offset)] = slice;
    this.#size += 1;
  }

  /** Forgets a slice that is there. */
  delete(slice: Slice): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#find(slice.offset);
    slots[hole] = undefined;
    this.#size -= 1;
    // What follows without a gap may have come here because this slot was taken.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const next = slots[at];
      if (next === undefined) {
        return;
      }
      const home = this.#home(next.offset);
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole] = next;
        slots[at] = undefined;
        hole = at;
      }
    }
  }

  /** The slot of an offset, or the free one where it belongs. */
  #find(offset: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let at = this.#home(offset); ; at = (at + 1) & mask) {
      const slice = slots[at];
      if (slice === undefined || slice.offset === offset) {
        return at;
      }
    }
  }

  #home(offset: number): number {
    return Math.imul(offset / this.#sliceSize, GOLDEN) >>> this.#shift;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Array<Slice | undefined>(old.length * 2).fill(undefined);
    this.#shift -= 1;
    for (const slice of old) {
      if (slice !== undefined) {
        this.#slots[this.#find(slice.offset)] = slice;
      }
    }
  }
}
