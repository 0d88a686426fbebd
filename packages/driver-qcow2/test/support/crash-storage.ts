import { MemoryStorage, type Storage } from '@lamella/core';
import { WrappedStorage } from '@lamella/driver-testkit';

type Change = { readonly offset: number; readonly bytes: Uint8Array } | { readonly length: number };

/** A storage that remembers every change and where the flushes were, to rebuild what a crash leaves. */
export class CrashStorage extends WrappedStorage {
  readonly #start: Uint8Array;
  readonly #changes: (Change | 'flush')[] = [];

  constructor(inner: Storage, start: Uint8Array) {
    super(inner);
    this.#start = start;
  }

  /** Starts over a storage's present content. */
  static async over(inner: Storage): Promise<CrashStorage> {
    const start = new Uint8Array(inner.size);
    await inner.read(start, 0);
    return new CrashStorage(inner, start);
  }

  /** Number of changes and flushes so far. */
  get moment(): number {
    return this.#changes.length;
  }

  /** Moments right before a flush, and the last one. */
  get boundaries(): number[] {
    return [...this.#changes.keys()]
      .filter((index) => this.#changes[index] === 'flush')
      .concat(this.#changes.length);
  }

  override async write(bytes: Uint8Array, offset: number): Promise<void> {
    await this.inner.write(bytes, offset);
    this.#changes.push({ offset, bytes: bytes.slice() });
  }

  override async writev(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    let at = offset;
    for (const piece of pieces) {
      await this.write(piece, at);
      at += piece.length;
    }
  }

  override async writeZeroes(offset: number, length: number): Promise<void> {
    await this.write(new Uint8Array(length), offset);
  }

  override async discard(offset: number, length: number): Promise<void> {
    const inside = Math.min(length, this.size - offset);
    if (inside > 0) {
      await this.write(new Uint8Array(inside), offset);
    }
  }

  override async truncate(length: number): Promise<void> {
    await this.inner.truncate(length);
    this.#changes.push({ length });
  }

  override async flush(): Promise<void> {
    await this.inner.flush();
    this.#changes.push('flush');
  }

  /**
   * What the disk holds if the power goes at a moment: all up to the last flush, and of what came
   * later, the changes that `survives` picks.
   */
  stateAt(moment: number, survives: () => boolean): MemoryStorage {
    const storage = MemoryStorage.from(this.#start);
    const durable = this.#changes.lastIndexOf('flush', moment - 1);
    for (const [index, change] of this.#changes.slice(0, moment).entries()) {
      if (change !== 'flush' && (index < durable || survives())) {
        if ('length' in change) {
          storage.truncate(change.length);
        } else {
          storage.write(change.bytes, change.offset);
        }
      }
    }
    return storage;
  }
}
