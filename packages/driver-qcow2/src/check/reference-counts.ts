/** Clusters of a page: 2^16. */
const PAGE_BITS = 16;
const PAGE = 2 ** PAGE_BITS;
/** Value in a page that says "look into the map". */
const LARGE = 255;

/** Most host clusters that a check looks at: 2^31 - 1, as QEMU's. */
export const MAX_CLUSTERS = 2 ** 31 - 1;

/**
 * How often each host cluster is referred to, as counted by a check. One byte for a cluster, in pages
 * that come with the first reference, so that a sparse file takes memory for what it uses only.
 */
export class ReferenceCounts {
  readonly #max: number;
  #pages: (Uint8Array | undefined)[] = [];
  readonly #large = new Map<number, number>();
  #length: number;

  /**
   * @param length - clusters of the file, the last one possibly partial
   * @param max - largest refcount that the image can store
   */
  constructor(length: number, max: number) {
    this.#length = length;
    this.#max = max;
  }

  /** Clusters to compare: those of the file, and those behind it that something refers to. */
  get length(): number {
    return this.#length;
  }

  /** The file has grown to this many clusters. */
  grow(length: number): void {
    this.#length = Math.max(this.#length, length);
  }

  /** References to a cluster. */
  get(cluster: number): number {
    const count = this.#pages[cluster >>> PAGE_BITS]?.[cluster & (PAGE - 1)] ?? 0;
    return count === LARGE ? (this.#large.get(cluster) ?? LARGE) : count;
  }

  /**
   * Notes one more reference.
   *
   * @returns false when the count is as large as the image can store; it stays then
   */
  increment(cluster: number): boolean {
    const count = this.get(cluster);
    if (count >= this.#max) {
      return false;
    }
    this.grow(cluster + 1);
    const index = cluster >>> PAGE_BITS;
    let page = this.#pages[index];
    if (page === undefined) {
      page = new Uint8Array(PAGE);
      this.#pages[index] = page;
    }
    page[cluster & (PAGE - 1)] = Math.min(count + 1, LARGE);
    if (count + 1 >= LARGE) {
      this.#large.set(cluster, count + 1);
    }
    return true;
  }

  /** The first cluster from `from` on that something refers to; `to` if there is none before it. */
  nextUsed(from: number, to: number): number {
    let cluster = from;
    while (cluster < to) {
      const page = this.#pages[cluster >>> PAGE_BITS];
      if (page === undefined) {
        cluster += PAGE - (cluster & (PAGE - 1));
      } else if (page[cluster & (PAGE - 1)] !== 0) {
        return cluster;
      } else {
        cluster += 1;
      }
    }
    return to;
  }

  /** Forgets all references to a run of clusters. */
  drop(first: number, count: number): void {
    for (let cluster = first; cluster < first + count; cluster += 1) {
      const page = this.#pages[cluster >>> PAGE_BITS];
      if (page !== undefined) {
        page[cluster & (PAGE - 1)] = 0;
      }
      this.#large.delete(cluster);
    }
  }

  /** Forgets all references; the length stays. */
  clear(): void {
    this.#pages = [];
    this.#large.clear();
  }
}
