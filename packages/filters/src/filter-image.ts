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
import { isPromise } from '@lamella/core';

/**
 * A storage as a disk, byte for byte: the image of a filter that acts in its storage. Discards and zeroes are
 * passed on, holes shown.
 */
export class FilterImage implements Image {
  readonly clusterSize = 1;
  readonly references: References = {};
  /** What the filter shows of itself among the layers of a disk. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Where the bytes are. */
  protected readonly storage: Storage;

  constructor(storage: Storage, options: Readonly<Record<string, OptionValue>> = {}) {
    this.storage = storage;
    this.options = options;
  }

  get size(): number {
    return this.storage.size;
  }

  map(offset: number, length: number): Extent {
    return { kind: 'data', length, storage: this.storage, offset, sparse: true };
  }

  place(offset: number, length: number): Placement {
    return { kind: 'in-place', length, storage: this.storage, offset };
  }

  zero(offset: number, length: number, { unmap }: ZeroContext): Awaitable<number> {
    const zeroing = this.storage.writeZeroes(offset, length, { unmap });
    return isPromise(zeroing) ? zeroing.then(() => length) : length;
  }

  discard(offset: number, length: number): Awaitable<void> {
    return this.storage.discard(offset, length);
  }

  /** @throws LamellaError as `Storage.flush` */
  flush(): Promise<void> {
    return this.storage.flush();
  }

  /**
   * Resizes what is underneath.
   *
   * @throws LamellaError as `Storage.truncate`
   */
  async resize(size: number): Promise<void> {
    await this.storage.truncate(size);
  }

  /** @throws LamellaError as `Storage.flush` */
  async close(): Promise<void> {
    if (this.storage.writable) {
      await this.storage.flush();
    }
  }
}
