import { LamellaError } from '@lamella/core';

/** Neighbouring clusters of the file. */
export interface Run {
  /** Number of the first, from 0 where clusters begin. */
  readonly first: number;
  /** How many. */
  readonly count: number;
}

/** What a {@link Space} starts from. */
export interface SpaceParts {
  /** Numbers of the clusters in use, sorted. */
  readonly used: Uint32Array;
  /** Number of the first cluster of which the file holds nothing yet. */
  readonly fileEnd: number;
  /** Greatest number that an entry of the BAT can name. */
  readonly last: number;
  /** For messages. */
  readonly location: string;
}

/**
 * The clusters of the file that nobody uses: what was freed, gaps that a crash or another program left, and all
 * behind the end.
 */
export class Space {
  readonly #parts: SpaceParts;
  readonly #gaps: Iterator<Run>;
  readonly #free: Run[] = [];
  /** First cluster behind all that was ever given out. */
  #end: number;

  constructor(parts: SpaceParts) {
    this.#parts = parts;
    this.#gaps = gapsIn(parts.used);
    this.#end = (parts.used.at(-1) ?? -1) + 1;
  }

  /** Number of the first cluster behind all that was ever given out. */
  get end(): number {
    return this.#end;
  }

  /** Whether a cluster reads as zeroes when it is given out for the first time. */
  isBehindFile(cluster: number): boolean {
    return cluster >= this.#parts.fileEnd;
  }

  /**
   * Sets clusters aside.
   *
   * @param count - how many are wanted; it may be fewer
   * @returns `fresh` where they read as zeroes
   * @throws LamellaError `NO_SPACE` when an entry can't name any more
   */
  take(count: number): Run & { readonly fresh: boolean } {
    const found = this.#free.pop() ?? this.#nextGap();
    if (found !== undefined) {
      const taken = Math.min(count, found.count);
      if (taken < found.count) {
        this.#free.push({ first: found.first + taken, count: found.count - taken });
      }
      return { first: found.first, count: taken, fresh: false };
    }
    const { last, location } = this.#parts;
    const taken = Math.min(count, last - this.#end + 1);
    if (taken <= 0) {
      throw new LamellaError('NO_SPACE', 'the image can have no more clusters', { location });
    }
    const first = this.#end;
    this.#end += taken;
    return { first, count: taken, fresh: this.isBehindFile(first) };
  }

  /** Nothing refers to these clusters, in memory or in the file. */
  give(run: Run): void {
    this.#free.push(run);
  }

  #nextGap(): Run | undefined {
    const { done, value } = this.#gaps.next();
    return done === true ? undefined : value;
  }
}

/** One gap after the other, so that a ruined image takes no memory for millions of them. */
function* gapsIn(used: Uint32Array): Generator<Run, undefined, undefined> {
  let next = 0;
  for (const cluster of used) {
    if (cluster > next) {
      yield { first: next, count: cluster - next };
    }
    next = cluster + 1;
  }
  return undefined;
}

/** The same clusters, neighbours joined. */
export function runsOf(clusters: readonly number[]): readonly Run[] {
  const runs: { first: number; count: number }[] = [];
  for (const cluster of [...clusters].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === cluster) {
      last.count += 1;
    } else {
      runs.push({ first: cluster, count: 1 });
    }
  }
  return runs;
}
