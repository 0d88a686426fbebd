import type { Awaitable, TableCache } from '@lamella/core';
import type { Flusher } from './flusher.js';
import type { NeedCheck } from './need-check.js';

/** What has to be true before the mapping is changed. */
export class ChangeGate {
  readonly #cache: TableCache;
  readonly #flusher: Flusher;
  readonly #needCheck: NeedCheck;

  constructor(cache: TableCache, flusher: Flusher, needCheck: NeedCheck) {
    this.#cache = cache;
    this.#flusher = flusher;
    this.#needCheck = needCheck;
  }

  /**
   * The need-check mark is durable and the cache has room for changed tables; at once, usually.
   *
   * @throws LamellaError as `Storage.write` and `Storage.flush`
   */
  pass(): Awaitable<void> {
    return this.#cache.overfull
      ? this.#flusher.flush().then(() => this.#needCheck.set())
      : this.#needCheck.set();
  }
}
