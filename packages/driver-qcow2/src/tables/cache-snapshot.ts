import type { TableCache, WriteBack } from '@lamella/core';

/**
 * Dirty slices of a cache, copied at one moment, that stay answerable after they were written: a write
 * is only worth something once the flush behind it succeeded.
 */
export class CacheSnapshot {
  readonly #cache: TableCache;
  readonly #writeBack: WriteBack;
  readonly #offsets: number[] = [];

  constructor(cache: TableCache) {
    this.#cache = cache;
    this.#writeBack = cache.beginWriteBack((offset) => {
      this.#offsets.push(offset);
      return true;
    });
  }

  /** Whether there is nothing to write. */
  get empty(): boolean {
    return this.#writeBack.empty;
  }

  /**
   * Writes the copies.
   *
   * @throws LamellaError as `Storage.write`
   */
  write(): Promise<void> {
    return this.#writeBack.write();
  }

  /** The copies did not become durable: all slices count as dirty again. */
  restore(): void {
    this.#writeBack.cancel();
    for (const offset of this.#offsets) {
      const slice = this.#cache.get(offset);
      if (slice !== undefined) {
        this.#cache.markDirty(slice);
      }
    }
  }
}
