/** Clusters of one page of the bitmap. */
const PAGE_CLUSTERS = 8192;

/** Neighbouring cluster numbers. */
export interface ClusterRun {
  readonly first: number;
  readonly count: number;
}

/**
 * A set of cluster numbers as a bitmap whose empty pages take no memory, so that a huge sparse file
 * costs what its references cost.
 */
export class ClusterSet {
  readonly #pages = new Map<number, Uint32Array>();
  #size = 0;
  #end = 0;

  /** Numbers in the set. */
  get size(): number {
    return this.#size;
  }

  /** One above the largest number, 0 for an empty set. */
  get end(): number {
    return this.#end;
  }

  /**
   * Adds a run of numbers.
   *
   * @returns how many of them were there already
   */
  add(first: number, count: number): number {
    let present = 0;
    for (let number = first; number < first + count; number += 1) {
      if (this.#has(number)) {
        present += 1;
      } else {
        this.#set(number);
      }
    }
    this.#size += count - present;
    this.#end = Math.max(this.#end, first + count);
    return present;
  }

  /** Takes all numbers out that another set, whose numbers are all in this one, has. */
  subtract(other: ClusterSet): void {
    for (const [index, removed] of other.#pages) {
      const page = this.#pages.get(index);
      page?.forEach((word, at) => {
        page[at] = word & ~(removed[at] ?? 0);
      });
    }
    this.#size -= other.#size;
    let end = this.#end;
    while (end > 0 && !this.#has(end - 1)) {
      const page = Math.floor((end - 1) / PAGE_CLUSTERS);
      end = this.#pages.has(page) ? end - 1 : page * PAGE_CLUSTERS;
    }
    this.#end = end;
  }

  /** The runs of numbers from 0 to below `limit` that are not in the set, in order. */
  *gaps(limit: number): Generator<ClusterRun> {
    let start = 0;
    for (const index of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const base = index * PAGE_CLUSTERS;
      const end = Math.min(limit, base + PAGE_CLUSTERS);
      for (let number = base; number < end; number += 1) {
        if (this.#has(number)) {
          if (number > start) {
            yield { first: start, count: number - start };
          }
          start = number + 1;
        }
      }
    }
    if (limit > start) {
      yield { first: start, count: limit - start };
    }
  }

  #has(number: number): boolean {
    const inPage = number % PAGE_CLUSTERS;
    const word = this.#pages.get((number - inPage) / PAGE_CLUSTERS)?.[inPage >>> 5] ?? 0;
    return ((word >>> (inPage & 31)) & 1) === 1;
  }

  #set(number: number): void {
    const inPage = number % PAGE_CLUSTERS;
    const index = (number - inPage) / PAGE_CLUSTERS;
    const page = this.#pages.get(index) ?? new Uint32Array(PAGE_CLUSTERS / 32);
    this.#pages.set(index, page);
    page[inPage >>> 5] = (page[inPage >>> 5] ?? 0) | (1 << (inPage & 31));
  }
}
