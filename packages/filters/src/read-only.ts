import type { BlockDriver, Image, OpenOptions, Storage } from '@lamella/core';
import { LamellaError } from '@lamella/core';
import { injectable } from 'tsyringe';
import { StorageImage } from './storage-image.js';

/** The filter `read-only`: shows a disk and takes no writes, whoever opens it. */
@injectable()
export class ReadOnlyDriver implements BlockDriver {
  readonly format = 'read-only';
  readonly sharesStorage = true;

  /** @throws LamellaError `READ_ONLY` when it is opened for writing */
  async open(storage: Storage, { writable }: OpenOptions): Promise<Image> {
    if (writable) {
      throw new LamellaError('READ_ONLY', 'this filter takes no writes', {
        location: storage.location,
        hint: 'Open it with writable: false, or put an overlay on it.',
      });
    }
    return new StorageImage(storage);
  }
}
