import { type Awaitable, isPromise, type TableCache } from '@lamella/core';
import type { Flusher } from './flusher.js';
import type { NeedCheck } from './need-check.js';

/**
 * What has to be true before the mapping is changed, and the count of changes under way: the image may
 * only be marked as clean between two of them.
 */
export class ChangeGate {
  readonly #cache: TableCache;
  readonly #flusher: Flusher;
  readonly #needCheck: NeedCheck;
  readonly #changed: () => void;
  #underWay = 0;
  #closed: Promise<void> | undefined;

  /**
   * @param changed - called for each change that is let in
   */
  constructor(cache: TableCache, flusher: Flusher, needCheck: NeedCheck, changed: () => void) {
    this.#cache = cache;
    this.#flusher = flusher;
    this.#needCheck = needCheck;
    this.#changed = changed;
  }

  /** Whether a change was let in and has not ended yet. */
  get busy(): boolean {
    return this.#underWay > 0;
  }

  /**
   * Lets a change in: the need-check mark is durable and the cache has room for changed tables; at
   * once, usually. Whoever was let in calls {@link ChangeGate.leave} once.
   *
   * @throws LamellaError as `Storage.write` and `Storage.flush`; then nobody was let in
   */
  pass(): Awaitable<void> {
    if (this.#closed !== undefined) {
      return this.#closed.then(() => this.pass());
    }
    this.#underWay += 1;
    this.#changed();
    const ready = this.#cache.overfull
      ? this.#flusher.flush().then(() => this.#needCheck.set())
      : this.#needCheck.set();
    return isPromise(ready) ? this.#letIn(ready) : undefined;
  }

  /** A change has ended, well or badly. */
  leave(): void {
    this.#underWay -= 1;
  }

  /**
   * Keeps changes out while something runs, one such thing at a time. The caller sees to it that no
   * change is under way.
   */
  async closedFor<T>(action: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) {
      await this.#closed;
    }
    const running = Promise.resolve().then(action);
    this.#closed = running.then(
      () => this.#open(),
      () => this.#open(),
    );
    return running;
  }

  #open(): void {
    this.#closed = undefined;
  }

  async #letIn(ready: Promise<void>): Promise<void> {
    try {
      await ready;
    } catch (error) {
      this.leave();
      throw error;
    }
  }
}
