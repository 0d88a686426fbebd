import type { Storage, TableCache, WriteBack } from '@lamella/core';
import type { Geometry } from './geometry.js';

/**
 * Writes changed tables back in an order that leaks space at most, whenever the machine stops: data,
 * then L2 tables, then the L1 entries that point to them, each durable before the next.
 */
export class Flusher {
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #cache: TableCache;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #doubtful = false;

  constructor(storage: Storage, geometry: Geometry, cache: TableCache) {
    this.#storage = storage;
    this.#geometry = geometry;
    this.#cache = cache;
  }

  /**
   * A flush of the storage failed once: what was written before may be lost without anybody noticing,
   * so the image has to be checked when it is opened next.
   */
  get doubtful(): boolean {
    return this.#doubtful;
  }

  /**
   * Makes everything durable that was written and committed before the call. Callers that arrive
   * during a flush share the next one, since the running one may miss their changes. After a failure
   * all changes are kept for another try.
   *
   * @throws LamellaError as `Storage.write` and `Storage.flush`
   */
  flush(): Promise<void> {
    if (this.#next !== undefined) {
      return this.#next;
    }
    if (this.#running === undefined) {
      return this.#start();
    }
    const next = this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    this.#next = next;
    return next;
  }

  /**
   * Flushes the storage alone.
   *
   * @throws LamellaError as `Storage.flush`
   */
  async sync(): Promise<void> {
    try {
      await this.#storage.flush();
    } catch (error) {
      this.#doubtful = true;
      throw error;
    }
  }

  #start(): Promise<void> {
    const run = this.#run().finally(() => {
      this.#running = undefined;
    });
    this.#running = run;
    return run;
  }

  async #run(): Promise<void> {
    const isL1 = (offset: number) => this.#geometry.isL1(offset);
    const l2 = this.#cache.beginWriteBack((offset) => !isL1(offset));
    const l1 = this.#cache.beginWriteBack(isL1);
    try {
      await this.sync();
      await this.#store(l2);
      await this.#store(l1);
    } catch (error) {
      l2.cancel();
      l1.cancel();
      throw error;
    }
  }

  async #store(copies: WriteBack): Promise<void> {
    if (!copies.empty) {
      await copies.write();
      await this.sync();
      copies.confirm();
    }
  }
}
