import type { Awaitable } from '../bytes/index.js';
import type { StorageExtent, WriteZeroesOptions } from './storage.js';
import { WrappedStorage } from './wrapped-storage.js';

/** A call on a storage. `length` is 0 where it has no meaning. */
export interface StorageCall {
  /** The method. */
  readonly method: 'read' | 'write' | 'writeZeroes' | 'discard' | 'truncate' | 'map' | 'flush';
  /** Byte offset; for `truncate` the new size. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** A storage that runs every call through one method, which may watch, delay or refuse it. */
export abstract class InterceptedStorage extends WrappedStorage {
  /**
   * Decides over one call; `proceed` carries it out on the storage underneath.
   *
   * @throws LamellaError what it refuses the call with, and what the storage underneath throws
   */
  protected abstract intercept<T>(call: StorageCall, proceed: () => Awaitable<T>): Awaitable<T>;

  override read(buffer: Uint8Array, offset: number): Awaitable<void> {
    return this.intercept({ method: 'read', offset, length: buffer.length }, () =>
      this.inner.read(buffer, offset),
    );
  }

  override write(bytes: Uint8Array, offset: number): Awaitable<void> {
    return this.intercept({ method: 'write', offset, length: bytes.length }, () =>
      this.inner.write(bytes, offset),
    );
  }

  override writev(pieces: readonly Uint8Array[], offset: number): Awaitable<void> {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    return this.intercept({ method: 'write', offset, length }, () =>
      this.inner.writev(pieces, offset),
    );
  }

  override writeZeroes(
    offset: number,
    length: number,
    options?: WriteZeroesOptions,
  ): Awaitable<void> {
    return this.intercept({ method: 'writeZeroes', offset, length }, () =>
      this.inner.writeZeroes(offset, length, options),
    );
  }

  override discard(offset: number, length: number): Awaitable<void> {
    return this.intercept({ method: 'discard', offset, length }, () =>
      this.inner.discard(offset, length),
    );
  }

  override truncate(size: number): Awaitable<void> {
    return this.intercept({ method: 'truncate', offset: size, length: 0 }, () =>
      this.inner.truncate(size),
    );
  }

  override map(offset: number, length: number): Awaitable<StorageExtent> {
    return this.intercept({ method: 'map', offset, length }, () => this.inner.map(offset, length));
  }

  /** Nothing gets past: whoever copies has to read and write. */
  override copyFrom(): number {
    return 0;
  }

  override sharesBlocksWith(): boolean {
    return false;
  }

  override async flush(): Promise<void> {
    return this.intercept({ method: 'flush', offset: 0, length: 0 }, () => this.inner.flush());
  }
}
