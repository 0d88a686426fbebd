import type { Awaitable, Image, Placement, ZeroContext } from '@lamella/core';
import { isPromise } from '@lamella/core';
import { StorageImage } from './storage-image.js';

/**
 * A storage as a disk, byte for byte, for writing, too: the image of a filter that acts in its storage. Discards
 * and zeroes are passed on, holes shown.
 */
export class FilterImage extends StorageImage implements Image {
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
  override async close(): Promise<void> {
    if (this.storage.writable) {
      await this.storage.flush();
    }
  }
}
