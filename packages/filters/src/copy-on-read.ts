import {
  type BlockDriver,
  DiskStorage,
  type Image,
  LamellaError,
  type OpenOptions,
  type Storage,
  WrappedStorage,
} from '@lamella/core';
import { injectable } from 'tsyringe';
import { FilterImage } from './filter-image.js';

/**
 * The filter `copy-on-read`: what is read from lower layers of a disk is kept in its top image, so that a
 * slow or distant base is asked once. The disk underneath has to be writable; the filter itself need not be.
 */
@injectable()
export class CopyOnReadDriver implements BlockDriver {
  readonly format = 'copy-on-read';
  readonly sharesStorage = true;

  /**
   * @throws LamellaError `UNSUPPORTED` on anything but a disk, `READ_ONLY` when the disk takes no writes
   */
  async open(storage: Storage, _options: OpenOptions): Promise<Image> {
    if (!(storage instanceof DiskStorage)) {
      throw new LamellaError('UNSUPPORTED', 'copy-on-read needs a disk with layers', {
        location: storage.location,
        hint: 'Open the chain first and use lamella.filter.',
      });
    }
    if (!storage.writable) {
      throw new LamellaError('READ_ONLY', 'copy-on-read writes into the disk it reads', {
        location: storage.location,
        hint: 'Open the disk with writable: true.',
      });
    }
    return new FilterImage(new CopyingStorage(storage));
  }
}

class CopyingStorage extends WrappedStorage {
  readonly #disk: DiskStorage['disk'];

  constructor(inner: DiskStorage) {
    super(inner);
    this.#disk = inner.disk;
  }

  override async read(buffer: Uint8Array, offset: number): Promise<void> {
    const inside = Math.min(buffer.length, this.size - offset);
    if (inside > 0) {
      await this.#disk.copyUp(offset, inside);
    }
    await this.inner.read(buffer, offset);
  }
}
