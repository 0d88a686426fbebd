import { LamellaError } from '@lamella/core';
import type { ChangeParts } from './change-parts.js';

/** Sets space aside for what is made beside the old state, and can give all of it back. */
export class NewSpace {
  readonly #parts: ChangeParts;
  readonly #taken: { readonly offset: number; readonly length: number }[] = [];

  constructor(parts: ChangeParts) {
    this.#parts = parts;
  }

  /**
   * A contiguous range.
   *
   * @param length - bytes
   * @returns byte offset; 0 for no bytes
   * @throws LamellaError `NO_SPACE`, `LIMIT_EXCEEDED`, `CORRUPT`, `IO_ERROR`
   */
  async run(length: number): Promise<number> {
    if (length === 0) {
      return 0;
    }
    const { allocator, geometry } = this.#parts;
    const { offset } = await allocator.allocateContiguous(Math.ceil(length / geometry.clusterSize));
    this.#taken.push({ offset, length });
    await this.#relieve();
    return offset;
  }

  /**
   * Clusters wherever there are some.
   *
   * @param references - how many references each is going to have: 1 or 2
   * @returns their byte offsets
   * @throws LamellaError as {@link run}
   */
  async clusters(count: number, references: 1 | 2 = 1): Promise<Float64Array> {
    const { allocator, refcounts, geometry } = this.#parts;
    const { clusterSize } = geometry;
    if (count > 0 && references > refcounts.width.max) {
      throw this.#tooNarrow();
    }
    const offsets = new Float64Array(count);
    for (let at = 0; at < count; ) {
      const run = await allocator.allocate(count - at);
      this.#taken.push({ offset: run.offset, length: run.count * clusterSize });
      for (let i = 0; i < run.count; i += 1) {
        offsets[at + i] = run.offset + i * clusterSize;
        if (references === 2) {
          await refcounts.change(run.offset / clusterSize + i, 1);
          this.#taken.push({ offset: run.offset + i * clusterSize, length: clusterSize });
        }
      }
      at += run.count;
      await this.#relieve();
    }
    return offsets;
  }

  /**
   * A place for the refcount table, which may grow by that itself.
   *
   * @throws LamellaError as {@link run}
   */
  async refcountTable(): Promise<number> {
    const { refcounts, drops } = this.#parts;
    for (;;) {
      const { length } = refcounts.table;
      const offset = await this.run(length * 8);
      if (refcounts.table.length === length) {
        return offset;
      }
      this.#taken.pop();
      drops.add(offset, length * 8, false);
    }
  }

  /** Nothing refers to what was set aside: the next flush frees it. */
  giveUp(): void {
    for (const { offset, length } of this.#taken) {
      this.#parts.drops.add(offset, length, false);
    }
    this.#taken.length = 0;
  }

  async #relieve(): Promise<void> {
    if (this.#parts.refcounts.cache.overfull) {
      await this.#parts.flusher.flush();
    }
  }

  #tooNarrow(): LamellaError {
    return new LamellaError('LIMIT_EXCEEDED', 'refcounts of one bit allow no shared tables', {
      location: this.#parts.storage.location,
      hint: 'Convert the image to wider refcounts (refcount_bits).',
    });
  }
}
