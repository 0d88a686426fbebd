import type { CheckRun } from './check-run.js';

/** Gives out clusters that nothing was found to refer to, lowest first. */
export class FreeSpace {
  readonly #run: CheckRun;
  /** Old refcount blocks, which must live until the new structure is in place. */
  readonly #kept = new Set<number>();
  #first = 0;

  constructor(run: CheckRun) {
    this.#run = run;
    const { clusterSize } = run.geometry;
    for (let index = 0; index < run.refcounts.length; index += 1) {
      const { offset } = run.refcounts.entry(index);
      if (offset !== 0 && offset < run.storage.size) {
        this.#kept.add(Math.floor(offset / clusterSize));
      }
    }
  }

  /** Looks from the start of the file again. */
  restart(): void {
    this.#first = 0;
  }

  /** Looks no further down than this cluster from now on. */
  startFrom(cluster: number): void {
    this.#first = Math.max(this.#first, cluster);
  }

  /**
   * Takes contiguous clusters and counts them as referred to.
   *
   * @returns the first of them
   */
  take(wanted: number): number {
    const { counts } = this.#run;
    let first = this.#first;
    let found = 0;
    for (let cluster = first; found < wanted; cluster += 1) {
      if (counts.get(cluster) === 0 && !this.#kept.has(cluster)) {
        found += 1;
      } else {
        found = 0;
        first = cluster + 1;
      }
    }
    for (let i = 0; i < wanted; i += 1) {
      counts.increment(first + i);
    }
    if (first === this.#first) {
      this.#first = first + wanted;
    }
    return first;
  }

  /** A run that was taken is not needed after all. */
  giveBack(first: number, count: number): void {
    this.#run.counts.drop(first, count);
  }
}
