import { setImmediate } from 'node:timers/promises';
import {
  type Awaitable,
  isPromise,
  MemoryStorage,
  type Storage,
  WrappedStorage,
  type WriteZeroesOptions,
} from '@lamella/core';
import { storageContent } from '../model/bytes.js';
import { Timeline } from './timeline.js';

/** Bytes that a disk writes wholly or not at all. */
const SECTOR = 512;
const NEVER = Number.POSITIVE_INFINITY;

/** Something that began at one moment and ended at a later one, or has not ended. */
interface Span {
  readonly began: number;
  ended: number;
}

interface Change extends Span {
  /** Carries the change out; `pick` says which sectors of a write survive, all of them without it. */
  readonly apply: (target: MemoryStorage, pick?: () => boolean) => void;
}

/** How a {@link CrashStorage} keeps time. */
export interface CrashStorageOptions {
  /** Moments of events; its own by default. */
  readonly timeline?: Timeline | undefined;
  /** Turns of the event loop that each change and flush takes; none by default. */
  readonly delay?: (() => number) | undefined;
}

/**
 * A storage that records every change and every flush, with the moments at which it began and ended, so
 * that a test can rebuild whatever a crash at some moment may have left: all that a finished flush made
 * durable, and of every other change that had begun nothing, all, or some sectors, in any order.
 */
export class CrashStorage extends WrappedStorage {
  /** Called after each flush, with its number from 0. */
  onFlush: (flush: number) => void = () => undefined;
  /** Moments of everything that is recorded. */
  readonly timeline: Timeline;
  readonly #start: Uint8Array;
  readonly #delay: (() => number) | undefined;
  readonly #changes: Change[] = [];
  readonly #flushes: Span[] = [];

  /**
   * @param inner - takes the changes
   * @param start - its content by now
   */
  constructor(inner: Storage, start: Uint8Array, options: CrashStorageOptions = {}) {
    super(inner);
    this.#start = new Uint8Array(start);
    this.timeline = options.timeline ?? new Timeline();
    this.#delay = options.delay;
  }

  /** Records over a new storage in memory with this content. */
  static from(bytes: Uint8Array, options: CrashStorageOptions = {}): CrashStorage {
    return new CrashStorage(MemoryStorage.from(bytes), bytes, options);
  }

  /**
   * Records over a storage, from its present content on.
   *
   * @throws LamellaError as `Storage.read`
   */
  static async over(inner: Storage, options: CrashStorageOptions = {}): Promise<CrashStorage> {
    return new CrashStorage(inner, await storageContent(inner), options);
  }

  /** Changes that began so far. */
  get changes(): number {
    return this.#changes.length;
  }

  /** For each finished flush, how many changes it made durable. */
  get flushes(): readonly number[] {
    return this.#flushes
      .filter(({ ended }) => ended < NEVER)
      .map(({ began }) => this.#changes.filter(({ ended }) => ended < began).length);
  }

  /** The present moment. */
  get moment(): number {
    return this.timeline.now;
  }

  /** Moments right before each flush, and the present one. */
  get boundaries(): readonly number[] {
    return [...this.#flushes.map(({ began }) => began - 1), this.moment];
  }

  /**
   * What is there after a crash that lets whole changes survive only.
   *
   * @param moment - when the power goes
   * @param survives - picks among the changes that no flush had made durable
   */
  stateAt(moment: number, survives: () => boolean): MemoryStorage {
    const durableUntil = this.#durableUntil(moment);
    return this.#rebuild(
      ({ began, ended }) => ended < durableUntil || (began <= moment && survives()),
    );
  }

  /**
   * What is there with the first changes and some of the later ones.
   *
   * @param durable - number of changes that survive in any case
   * @param survives - picks among the others, by their number from 0
   */
  afterChanges(durable: number, survives: (index: number) => boolean): MemoryStorage {
    return this.#rebuild((_, index) => index < durable || survives(index));
  }

  /**
   * What may be there after a crash, sectors lost and changes carried out in another order included.
   *
   * @param moment - when the power goes
   * @param random - numbers in [0, 1) that choose among what may be
   */
  afterCrash(moment: number, random: () => number): MemoryStorage {
    const state = MemoryStorage.from(this.#start);
    const durableUntil = this.#durableUntil(moment);
    const pending: { readonly change: Change; readonly rank: number }[] = [];
    for (const change of this.#changes) {
      if (change.ended < durableUntil) {
        change.apply(state);
      } else if (change.began <= moment) {
        pending.push({ change, rank: random() });
      }
    }
    const share = random();
    for (const { change } of pending.sort((a, b) => a.rank - b.rank)) {
      const fate = random();
      if (fate < share * 0.8) {
        change.apply(state);
      } else if (fate < share) {
        change.apply(state, () => random() < 0.5);
      }
    }
    return state;
  }

  override write(bytes: Uint8Array, offset: number): Awaitable<void> {
    return this.writev([bytes], offset);
  }

  override writev(pieces: readonly Uint8Array[], offset: number): Awaitable<void> {
    const bytes = Buffer.concat(pieces);
    return this.#change(
      () => this.inner.write(bytes, offset),
      (target, pick) => writeSectors(target, bytes, offset, pick),
    );
  }

  override writeZeroes(
    offset: number,
    length: number,
    options?: WriteZeroesOptions,
  ): Awaitable<void> {
    return this.#change(
      () => this.inner.writeZeroes(offset, length, options),
      (target) => target.writeZeroes(offset, length),
    );
  }

  override discard(offset: number, length: number): Awaitable<void> {
    return this.#change(
      () => this.inner.discard(offset, length),
      (target) => target.discard(offset, length),
    );
  }

  override truncate(size: number): Awaitable<void> {
    return this.#change(
      () => this.inner.truncate(size),
      (target) => target.truncate(size),
    );
  }

  /** Nothing gets past: whoever copies has to read and write. */
  override copyFrom(): number {
    return 0;
  }

  override async flush(): Promise<void> {
    const flush: Span = { began: this.timeline.tick(), ended: NEVER };
    const number = this.#flushes.push(flush) - 1;
    await this.#wait();
    await this.inner.flush();
    flush.ended = this.timeline.tick();
    this.onFlush(number);
  }

  #rebuild(survives: (change: Change, index: number) => boolean): MemoryStorage {
    const state = MemoryStorage.from(this.#start);
    for (const [index, change] of this.#changes.entries()) {
      if (survives(change, index)) {
        change.apply(state);
      }
    }
    return state;
  }

  #durableUntil(moment: number): number {
    const finished = this.#flushes.filter(({ ended }) => ended <= moment);
    return Math.max(-1, ...finished.map(({ began }) => began));
  }

  #change(proceed: () => Awaitable<void>, apply: Change['apply']): Awaitable<void> {
    const change: Change = { began: this.timeline.tick(), ended: NEVER, apply };
    this.#changes.push(change);
    const end = (): void => {
      change.ended = this.timeline.tick();
    };
    if (this.#delay !== undefined) {
      return this.#wait().then(proceed).then(end);
    }
    const done = proceed();
    if (isPromise(done)) {
      return done.then(end);
    }
    end();
    return undefined;
  }

  async #wait(): Promise<void> {
    for (let turns = this.#delay?.() ?? 0; turns > 0; turns -= 1) {
      await setImmediate();
    }
  }
}

function writeSectors(
  target: MemoryStorage,
  bytes: Uint8Array,
  offset: number,
  pick: (() => boolean) | undefined,
): void {
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
}
