import { setImmediate } from 'node:timers/promises';
import { WrappedStorage } from '@lamella/driver-testkit';
import { MemoryStorage, type WriteZeroesOptions } from 'lamella';

/** Bytes that a disk writes wholly or not at all. */
const SECTOR = 512;
const NEVER = Number.POSITIVE_INFINITY;

/** Moments, in order of what happened; shared by those whose events are to be compared. */
export class Clock {
  #now = 0;

  /** The next moment. */
  tick(): number {
    this.#now += 1;
    return this.#now;
  }

  /** The latest moment. */
  get now(): number {
    return this.#now;
  }
}

/** Something that began at one moment and ended at a later one, or has not ended. */
interface Span {
  readonly began: number;
  ended: number;
}

interface Recorded extends Span {
  /** Carries the change out; `pick` says which sectors of a write survive. */
  readonly apply: (target: MemoryStorage, pick: (() => boolean) | undefined) => void;
}

/**
 * A storage in memory that writes down every change and flush with the moments at which it began and
 * ended, takes its time for each, and can tell what a crash at some moment may leave.
 */
export class RecordingStorage extends WrappedStorage {
  readonly #start: Uint8Array;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #changes: Recorded[] = [];
  readonly #flushes: Span[] = [];

  /**
   * @param start - content before anything is recorded
   * @param random - decides how long calls take
   */
  constructor(start: Uint8Array, clock: Clock, random: () => number) {
    super(MemoryStorage.from(start));
    this.#start = start.slice();
    this.#clock = clock;
    this.#random = random;
  }

  override write(bytes: Uint8Array, offset: number): Promise<void> {
    return this.writev([bytes], offset);
  }

  override writev(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    const bytes = Buffer.concat(pieces);
    return this.#change((target, pick) => {
      if (pick === undefined) {
        target.write(bytes, offset);
        return;
      }
      for (let at = 0; at < bytes.length; ) {
        const step = SECTOR - ((offset + at) % SECTOR);
        if (pick()) {
          target.write(bytes.subarray(at, at + step), offset + at);
        }
        at += step;
      }
    });
  }

  override writeZeroes(
    offset: number,
    length: number,
    _options?: WriteZeroesOptions,
  ): Promise<void> {
    return this.#change((target) => target.writeZeroes(offset, length));
  }

  override discard(offset: number, length: number): Promise<void> {
    return this.#change((target) => target.discard(offset, length));
  }

  override truncate(size: number): Promise<void> {
    return this.#change((target) => target.truncate(size));
  }

  override async flush(): Promise<void> {
    const flush: Span = { began: this.#clock.tick(), ended: NEVER };
    this.#flushes.push(flush);
    await this.#wait();
    flush.ended = this.#clock.tick();
  }

  /** Stays open: what it holds is looked at after the disk is closed. */
  override async close(): Promise<void> {}

  /**
   * What may be there after a crash: all that a finished flush made durable, and of every other change
   * that had begun nothing, all, or some sectors, in any order.
   *
   * @param random - chooses among what may be
   */
  afterCrash(moment: number, random: () => number): MemoryStorage {
    const state = MemoryStorage.from(this.#start);
    const flush = this.#flushes.filter(({ ended }) => ended <= moment).map(({ began }) => began);
    const durableUntil = Math.max(-1, ...flush);
    const pending: { readonly change: Recorded; readonly rank: number }[] = [];
    for (const change of this.#changes) {
      if (change.ended < durableUntil) {
        change.apply(state, undefined);
      } else if (change.began <= moment) {
        pending.push({ change, rank: random() });
      }
    }
    const share = random();
    for (const { change } of pending.sort((a, b) => a.rank - b.rank)) {
      const fate = random();
      if (fate < share * 0.8) {
        change.apply(state, undefined);
      } else if (fate < share) {
        change.apply(state, () => random() < 0.5);
      }
    }
    return state;
  }

  async #change(apply: Recorded['apply']): Promise<void> {
    const change: Recorded = { began: this.#clock.tick(), ended: NEVER, apply };
    this.#changes.push(change);
    await this.#wait();
    if (this.inner instanceof MemoryStorage) {
      apply(this.inner, undefined);
    }
    change.ended = this.#clock.tick();
  }

  async #wait(): Promise<void> {
    for (let turns = Math.floor(this.#random() * 4); turns > 0; turns -= 1) {
      await setImmediate();
    }
  }
}

/** All bytes of a storage in memory. */
export function bytesOf(storage: MemoryStorage): Uint8Array {
  const bytes = new Uint8Array(storage.size);
  storage.read(bytes, 0);
  return bytes;
}
