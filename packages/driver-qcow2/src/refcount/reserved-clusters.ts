/** Clusters whose refcount is 0 although they must not be given out now. */
export class ReservedClusters {
  readonly #clusters = new Set<number>();

  /** Whether a cluster is reserved. */
  has(cluster: number): boolean {
    return this.#clusters.size > 0 && this.#clusters.has(cluster);
  }

  /** Reserves a run. */
  add(first: number, count: number): void {
    for (let i = 0; i < count; i += 1) {
      this.#clusters.add(first + i);
    }
  }

  /** Lets a run go. */
  delete(first: number, count: number): void {
    for (let i = 0; i < count; i += 1) {
      this.#clusters.delete(first + i);
    }
  }
}
