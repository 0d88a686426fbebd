import type { Storage } from '../storage/index.js';
import type { Slice } from './slice.js';

/** Neighbouring slices are joined into writes of at most this many bytes. */
const MAX_WRITE = 1024 * 1024;

interface Run {
  readonly offset: number;
  readonly pieces: Uint8Array[];
  length: number;
}

/**
 * Copies of dirty slices, taken at one moment, waiting for their turn to be written. A write is only worth
 * something once the storage's flush behind it succeeded: until {@link WriteBack.confirm} says so, the slices
 * stay in the cache, and {@link WriteBack.cancel} makes them dirty again.
 */
export class WriteBack {
  readonly #storage: Storage;
  readonly #slices: readonly Slice[];
  readonly #copies: readonly Uint8Array[];
  readonly #settle: (slice: Slice, stored: boolean) => void;
  #settled = false;

  /** @internal Made by `TableCache.beginWriteBack`. */
  constructor(
    storage: Storage,
    slices: readonly Slice[],
    settle: (slice: Slice, stored: boolean) => void,
  ) {
    this.#storage = storage;
    this.#slices = [...slices].sort((a, b) => a.offset - b.offset);
    this.#copies = this.#slices.map((slice) => slice.bytes.slice());
    this.#settle = settle;
  }

  /** Whether there is nothing to write. */
  get empty(): boolean {
    return this.#slices.length === 0;
  }

  /**
   * Writes the copies. On failure every slice counts as dirty again; after success `confirm` or `cancel` has
   * to follow.
   *
   * @throws LamellaError as `Storage.write`
   */
  async write(): Promise<void> {
    try {
      for (const run of this.#runs()) {
        await this.#storage.writev(run.pieces, run.offset);
      }
    } catch (error) {
      this.cancel();
      throw error;
    }
  }

  /**
   * Writes copies that do not have to be durable at a certain moment, and confirms them.
   *
   * @throws LamellaError as `Storage.write`
   */
  async store(): Promise<void> {
    await this.write();
    this.confirm();
  }

  /** What was written is durable. */
  confirm(): void {
    this.#end(true);
  }

  /** The copies were not written, or are not durable: every slice counts as dirty again. */
  cancel(): void {
    this.#end(false);
  }

  #end(stored: boolean): void {
    if (!this.#settled) {
      this.#settled = true;
      for (const slice of this.#slices) {
        this.#settle(slice, stored);
      }
    }
  }

  #runs(): Run[] {
    const runs: Run[] = [];
    let last: Run | undefined;
    for (const [index, slice] of this.#slices.entries()) {
      const copy = this.#copies[index] ?? slice.bytes;
      if (
        last !== undefined &&
        last.offset + last.length === slice.offset &&
        last.length < MAX_WRITE
      ) {
        last.pieces.push(copy);
        last.length += copy.length;
      } else {
        last = { offset: slice.offset, pieces: [copy], length: copy.length };
        runs.push(last);
      }
    }
    return runs;
  }
}
