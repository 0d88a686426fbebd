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

  constructor(first: number, count: number) {
    this.first = first;
    this.end = first + count;
  }

  /**
   * Notes a change; one outside the window is for another pass.
   *
   * @throws LamellaError `LIMIT_EXCEEDED`
   */
  add(cluster: number, by: number): void {
    if (cluster < this.first || cluster >= this.end) {
      if (cluster >= this.end && cluster < this.beyond) {
        this.beyond = cluster;
      }
      return;
    }
    const index = Math.floor((cluster - this.first) / PAGE);
    let page = this.#pages[index];
    if (page === undefined) {
      page = new Int32Array(PAGE);
      this.#pages[index] = page;
    }
    const at = (cluster - this.first) % PAGE;
    const delta = (page[at] ?? 0) + by;
    if (Math.abs(delta) > MAX) {
      throw new LamellaError('LIMIT_EXCEEDED', 'a cluster has more than 2^31 references');
    }
    page[at] = delta;
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
