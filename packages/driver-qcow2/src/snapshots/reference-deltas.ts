import { LamellaError } from '@lamella/core';

/** Clusters of a page. */
const PAGE = 65536;
const MAX = 2 ** 31 - 1;

/**
 * By how much the refcounts of a window of host clusters are to change. Four bytes a cluster, in pages that
 * come with their first change.
 */
export class ReferenceDeltas {
  /** First cluster of the window. */
  readonly first: number;
  /** First cluster behind it. */
  readonly end: number;
  /** The first cluster behind the window of which something was noted; infinite without one. */
  beyond = Number.POSITIVE_INFINITY;
  readonly #pages: (Int32Array | undefined)[] = [];

  /** @param first - a multiple of 65536 */
  constructor(first: number, count: number) {
    this.first = first;
    this.end = first + count;
  }

  /**
   * Notes a change of a run of clusters; what is outside the window is for another pass.
   *
   * @throws LamellaError `LIMIT_EXCEEDED`
   */
  add(first: number, count: number, by: number): void {
    const end = first + count;
    if (count > 0 && end > this.end) {
      this.beyond = Math.min(this.beyond, Math.max(first, this.end));
    }
    const stop = Math.min(end, this.end);
    for (let cluster = Math.max(first, this.first); cluster < stop; ) {
      const pageEnd = cluster - (cluster % PAGE) + PAGE;
      const part = Math.min(stop, pageEnd) - cluster;
      this.#addInPage(this.#page(cluster), cluster % PAGE, part, by);
      cluster += part;
    }
  }

  #page(cluster: number): Int32Array {
    const index = Math.floor((cluster - this.first) / PAGE);
    let page = this.#pages[index];
    if (page === undefined) {
      page = new Int32Array(PAGE);
      this.#pages[index] = page;
    }
    return page;
  }

  #addInPage(page: Int32Array, from: number, count: number, by: number): void {
    for (let at = from; at < from + count; at += 1) {
      const delta = (page[at] ?? 0) + by;
      if (delta > MAX || delta < -MAX) {
        throw new LamellaError('LIMIT_EXCEEDED', 'a cluster has more than 2^31 references');
      }
      page[at] = delta;
    }
  }

  /**
   * The changes of clusters of the window from `cluster` on.
   *
   * @param count - how many are wanted
   * @returns at most as many; undefined instead of zeroes to the end of the page
   */
  part(
    cluster: number,
    count: number,
  ): { readonly length: number; readonly deltas: Int32Array | undefined } {
    const from = (cluster - this.first) % PAGE;
    const length = Math.min(count, PAGE - from);
    const page = this.#pages[Math.floor((cluster - this.first) / PAGE)];
    return { length, deltas: page?.subarray(from, from + length) };
  }

  /** The change of a cluster of the window. */
  get(cluster: number): number {
    const from = cluster - this.first;
    return this.#pages[Math.floor(from / PAGE)]?.[from % PAGE] ?? 0;
  }

  /** Whether anything may change from `from` to before `to`, both within the window. */
  mayTouch(from: number, to: number): boolean {
    for (let page = Math.floor((from - this.first) / PAGE); ; page += 1) {
      if (this.first + page * PAGE >= to) {
        return false;
      }
      if (this.#pages[page] !== undefined) {
        return true;
      }
    }
  }
}
