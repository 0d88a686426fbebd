/** Bytes and bits of a page. */
const PAGE_BYTES = 4096;
const PAGE_BITS = PAGE_BYTES * 8;

/** Bits that were set, in pages that come into being when they are needed. */
export class DirtyBits {
  readonly #pages = new Map<number, Uint8Array | 'full'>();

  /** Whether no bit is set. */
  get empty(): boolean {
    return this.#pages.size === 0;
  }

  /**
   * Sets the bits from `first` to `last`.
   *
   * @param last - the last one itself, at least `first`
   */
  set(first: number, last: number): void {
    for (let bit = first; bit <= last; ) {
      const page = Math.floor(bit / PAGE_BITS);
      const from = bit - page * PAGE_BITS;
      const to = Math.min(last - page * PAGE_BITS, PAGE_BITS - 1);
      this.#setInPage(page, from, to);
      bit += to - from + 1;
    }
  }

  /** Sets all bits that another set has. */
  merge(other: DirtyBits): void {
    for (const [number, page] of other.#pages) {
      const mine = this.#pages.get(number);
      if (page === 'full') {
        this.#pages.set(number, page);
      } else if (mine === undefined) {
        this.#pages.set(number, page.slice());
      } else if (mine !== 'full') {
        orBytes(mine, page);
      }
    }
  }

  /** Clears all bits. */
  clear(): void {
    this.#pages.clear();
  }

  /** Whether bits from `first` on may be set; false only if none of them is. */
  touches(first: number, count: number): boolean {
    const end = Math.ceil((first + count) / PAGE_BITS);
    for (let page = Math.floor(first / PAGE_BITS); page < end; page += 1) {
      if (this.#pages.has(page)) {
        return true;
      }
    }
    return false;
  }

  /**
   * Sets the bits in bytes that hold those from `first` on, lowest bit of a byte first.
   *
   * @param first - a multiple of 8
   */
  orInto(bytes: Uint8Array, first: number): void {
    const start = first / 8;
    const end = start + bytes.length;
    for (let number = Math.floor(start / PAGE_BYTES); number * PAGE_BYTES < end; number += 1) {
      const page = this.#pages.get(number);
      if (page !== undefined) {
        const from = Math.max(start, number * PAGE_BYTES);
        const to = Math.min(end, (number + 1) * PAGE_BYTES);
        const target = bytes.subarray(from - start, to - start);
        if (page === 'full') {
          target.fill(0xff);
        } else {
          orBytes(target, page.subarray(from - number * PAGE_BYTES, to - number * PAGE_BYTES));
        }
      }
    }
  }

  #setInPage(number: number, from: number, to: number): void {
    if (to - from + 1 === PAGE_BITS) {
      this.#pages.set(number, 'full');
      return;
    }
    let page = this.#pages.get(number);
    if (page === 'full') {
      return;
    }
    if (page === undefined) {
      page = new Uint8Array(PAGE_BYTES);
      this.#pages.set(number, page);
    }
    setBits(page, from, to);
  }
}

/** Sets bits of some bytes, the last one included, lowest bit of a byte first. */
function setBits(bytes: Uint8Array, from: number, to: number): void {
  const first = from >>> 3;
  const last = to >>> 3;
  const head = (0xff << (from & 7)) & 0xff;
  const tail = 0xff >>> (7 - (to & 7));
  if (first === last) {
    bytes[first] = (bytes[first] ?? 0) | (head & tail);
  } else {
    bytes[first] = (bytes[first] ?? 0) | head;
    bytes.fill(0xff, first + 1, last);
    bytes[last] = (bytes[last] ?? 0) | tail;
  }
}

function orBytes(target: Uint8Array, source: Uint8Array): void {
  for (let i = 0; i < target.length; i += 1) {
    target[i] = (target[i] ?? 0) | (source[i] ?? 0);
  }
}
