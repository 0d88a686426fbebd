import type { Storage, TableCache, WriteBack } from '@lamella/core';
import type { Geometry } from './geometry.js';

/** Copies to be written, and where the slices are that they were taken of. */
interface Taken {
  readonly copies: WriteBack;
  readonly offsets: readonly number[];
}

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
    const l2 = this.#take((offset) => !this.#geometry.isL1(offset));
    const l1 = this.#take((offset) => this.#geometry.isL1(offset));
    try {
      await this.sync();
      await this.#store(l2);
      await this.#store(l1);
    } catch (error) {
      for (const { copies, offsets } of [l2, l1]) {
        copies.cancel();
        this.#markDirty(offsets);
      }
      throw error;
    }
  }

  #take(select: (offset: number) => boolean): Taken {
    const offsets: number[] = [];
    const copies = this.#cache.beginWriteBack((offset) => {
      const selected = select(offset);
      if (selected) {
        offsets.push(offset);
      }
      return selected;
    });
    return { copies, offsets };
  }

  async #store({ copies }: Taken): Promise<void> {
    if (!copies.empty) {
      await copies.write();
      await this.sync();
    }
  }

  /** A write-back that was written counts as stored; the flush that failed behind it undoes that. */
  #markDirty(offsets: readonly number[]): void {
    for (const offset of offsets) {
      const slice = this.#cache.get(offset);
      if (slice !== undefined) {
        this.#cache.markDirty(slice);
      }
    }
  }
}
