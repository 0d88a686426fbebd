import type {
  Awaitable,
  Extent,
  Image,
  OptionValue,
  Placement,
  References,
  Storage,
  ZeroContext,
} from '@lamella/core';
import { alignUp, isPromise } from '@lamella/core';

/** Bytes of a sector: disks have whole ones only. */
export const SECTOR_SIZE = 512;

/**
 * A raw image: byte n of the disk is byte n of the storage. A storage that ends within a sector makes
 * a disk that ends with the sector; the missing bytes read as zeroes until they are written.
 */
export class RawImage implements Image {
  readonly clusterSize = 1;
  readonly references: References = {};
  readonly options: Readonly<Record<string, OptionValue>> = {};
  readonly #storage: Storage;
  readonly #writable: boolean;
  #size: number;
  #closed = false;

  /**
   * @param storage - stays the caller's to close
   * @param writable - whether closing has something to make durable
   */
  constructor(storage: Storage, writable: boolean) {
    this.#storage = storage;
    this.#writable = writable;
    this.#size = alignUp(storage.size, SECTOR_SIZE);
  }

  get size(): number {
    return this.#size;
  }

  map(offset: number, length: number): Extent {
    return { kind: 'data', length, storage: this.#storage, offset, sparse: true };
  }

  place(offset: number, length: number): Placement {
    return { kind: 'in-place', length, storage: this.#storage, offset };
  }

  zero(offset: number, length: number, context: ZeroContext): Awaitable<number> {
    const writing = this.#storage.writeZeroes(offset, length, { unmap: context.unmap });
    return isPromise(writing) ? writing.then(() => length) : length;
  }

  discard(offset: number, length: number): Awaitable<void> {
    return this.#storage.discard(offset, length);
  }

  flush(): Promise<void> {
    return this.#storage.flush();
  }

  async resize(size: number): Promise<void> {
    await this.#storage.truncate(size);
    this.#size = alignUp(size, SECTOR_SIZE);
  }

  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    if (this.#writable) {
      await this.#storage.flush();
    }
  }
}
