/** A run of host clusters by number. */
export interface ClusterRun {
  readonly first: number;
  /** At least 1. */
  readonly count: number;
}

/** Runs looked at to find one that is long enough. */
const CANDIDATES = 8;

/**
 * Runs of clusters that are believed free: a list of hints. The refcounts decide, so runs may overlap
 * and may have been given out since; whoever takes one checks it. Adding and taking cost the same
 * however many runs there are.
 */
export class FreeClusters {
  readonly #starts: number[] = [];
  readonly #counts = new Map<number, number>();

  /** Whether no run is known. */
  get empty(): boolean {
    return this.#starts.length === 0;
  }

  /** Notes a run. */
  add(first: number, count: number): void {
    const known = this.#counts.get(first);
    if (known === undefined) {
      this.#starts.push(first);
    }
    this.#counts.set(first, Math.max(known ?? 0, count));
  }

  /** The run to try next for `wanted` clusters: one that is long enough, or the longest at hand. */
  best(wanted: number): ClusterRun | undefined {
    let best: ClusterRun | undefined;
    const last = this.#starts.length - 1;
    for (let index = last; index >= 0 && index > last - CANDIDATES; index -= 1) {
      const first = this.#starts[index] ?? 0;
      const count = this.#counts.get(first) ?? 0;
      if (count > (best?.count ?? 0)) {
        best = { first, count };
      }
      if (count >= wanted) {
        break;
      }
    }
    return best;
  }

  /** Takes a run that {@link best} returned off the list. */
  remove(run: ClusterRun): void {
    this.#counts.delete(run.first);
    const last = this.#starts.length - 1;
    for (let index = last; index >= 0 && index > last - CANDIDATES; index -= 1) {
      if (this.#starts[index] === run.first) {
        this.#starts[index] = this.#starts[last] ?? 0;
        this.#starts.pop();
        return;
      }
    }
  }
}
