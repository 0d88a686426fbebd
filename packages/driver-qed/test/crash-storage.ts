import {
  type Awaitable,
  MemoryStorage,
  type Storage,
  type WriteZeroesOptions,
} from '@lamella/core';
import { WrappedStorage } from '@lamella/driver-testkit';

type Change = (target: MemoryStorage) => void;

/**
 * Remembers every change since the image was made, so that a test can rebuild what a crash at some
 * moment may have left: everything before the last flush, and any choice of what came after it.
 */
export class CrashStorage extends WrappedStorage {
  readonly #start: Uint8Array;
  readonly #changes: Change[] = [];
  /** How many changes were durable after each flush. */
  readonly flushes: number[] = [];
  /** Called after each flush. */
  onFlush: (flush: number) => void = () => undefined;

  private constructor(inner: Storage, start: Uint8Array) {
    super(inner);
    this.#start = start;
  }

  static from(bytes: Uint8Array): CrashStorage {
    return new CrashStorage(MemoryStorage.from(bytes), bytes.slice());
  }

  get changes(): number {
    return this.#changes.length;
  }

  /** The storage with the first `durable` changes and those later ones that `survives` picks. */
  after(durable: number, survives: (index: number) => boolean): MemoryStorage {
    const state = MemoryStorage.from(this.#start);
    for (const [index, change] of this.#changes.entries()) {
      if (index < durable || survives(index)) {
        change(state);
      }
    }
    return state;
  }

  override write(bytes: Uint8Array, offset: number): Awaitable<void> {
    const copy = bytes.slice();
    this.#changes.push((target) => target.write(copy, offset));
    return this.inner.write(bytes, offset);
  }

  override writev(pieces: readonly Uint8Array[], offset: number): Awaitable<void> {
    let position = offset;
    for (const piece of pieces) {
      const copy = piece.slice();
      const at = position;
      this.#changes.push((target) => target.write(copy, at));
      position += piece.length;
    }
    return this.inner.writev(pieces, offset);
  }

  override writeZeroes(
    offset: number,
    length: number,
    options?: WriteZeroesOptions,
  ): Awaitable<void> {
    this.#changes.push((target) => target.writeZeroes(offset, length));
    return this.inner.writeZeroes(offset, length, options);
  }

  override truncate(size: number): Awaitable<void> {
    this.#changes.push((target) => target.truncate(size));
    return this.inner.truncate(size);
  }

  override async flush(): Promise<void> {
    const durable = this.#changes.length;
    await this.inner.flush();
    this.flushes.push(durable);
    this.onFlush(this.flushes.length - 1);
  }
}
