import type { Awaitable } from '../bytes/index.js';
import type { StoragePermissions } from './permissions.js';
import type { Storage, StorageExtent, WriteZeroesOptions } from './storage.js';

/**
 * A storage that passes everything on to another: the start of storages that watch, delay or refuse, for
 * filters and for tests.
 */
export class WrappedStorage implements Storage {
  /** The storage underneath. */
  protected readonly inner: Storage;

  constructor(inner: Storage) {
    this.inner = inner;
  }

  get location(): string {
    return this.inner.location;
  }

  get identity(): string | undefined {
    return this.inner.identity;
  }

  get writable(): boolean {
    return this.inner.writable;
  }

  get size(): number {
    return this.inner.size;
  }

  lock(permissions: StoragePermissions): Awaitable<void> {
    return this.inner.lock?.(permissions);
  }

  read(buffer: Uint8Array, offset: number): Awaitable<void> {
    return this.inner.read(buffer, offset);
  }

  write(bytes: Uint8Array, offset: number): Awaitable<void> {
    return this.inner.write(bytes, offset);
  }

  writev(pieces: readonly Uint8Array[], offset: number): Awaitable<void> {
    return this.inner.writev(pieces, offset);
  }

  writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): Awaitable<void> {
    return this.inner.writeZeroes(offset, length, options);
  }

  discard(offset: number, length: number): Awaitable<void> {
    return this.inner.discard(offset, length);
  }

  truncate(size: number): Awaitable<void> {
    return this.inner.truncate(size);
  }

  map(offset: number, length: number): Awaitable<StorageExtent> {
    return this.inner.map(offset, length);
  }

  copyFrom(
    source: Storage,
    sourceOffset: number,
    offset: number,
    length: number,
  ): Awaitable<number> {
    return this.inner.copyFrom?.(source, sourceOffset, offset, length) ?? 0;
  }

  sharesBlocksWith(source: Storage): boolean {
    return this.inner.sharesBlocksWith?.(source) === true;
  }

  flush(): Promise<void> {
    return this.inner.flush();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
