import type { BlockDriver, CreateOptions, OpenOptions, OptionSchema, Storage } from '@lamella/core';
import { alignUp, LamellaError } from '@lamella/core';
import { injectable } from 'tsyringe';
import { RawImage, SECTOR_SIZE } from './raw-image.js';

/** The raw format: no header, no metadata, the storage is the disk. */
@injectable()
export class RawDriver implements BlockDriver {
  readonly format = 'raw';
  readonly createOptions: OptionSchema = {};
  readonly supportsBacking = false;
  readonly sharesStorage = true;

  /** Anything may be a raw image, so raw takes what no other driver wants. */
  probe(): number {
    return 1;
  }

  /** Opens without reading anything: every content is valid. */
  async open(storage: Storage, options: OpenOptions): Promise<RawImage> {
    return new RawImage(storage, options.writable);
  }

  /**
   * @throws LamellaError `INVALID_ARGUMENT` for a size that is no whole number of bytes or for a
   * backing file, `LIMIT_EXCEEDED` for a size above 2^53 - 512
   */
  validateCreate(options: CreateOptions): void {
    if (!Number.isInteger(options.size) || options.size < 0) {
      throw new LamellaError('INVALID_ARGUMENT', `a disk cannot have ${options.size} bytes`, {
        hint: 'Give a size of 0 or more whole bytes.',
      });
    }
    if (!Number.isSafeInteger(alignUp(options.size, SECTOR_SIZE))) {
      throw new LamellaError('LIMIT_EXCEEDED', `${options.size} bytes are too large for a disk`, {
        hint: 'The largest disk has 2^53 - 512 bytes (8 PiB).',
      });
    }
    if (options.backing !== undefined) {
      throw new LamellaError('INVALID_ARGUMENT', 'a raw image cannot name a backing file', {
        hint: 'Use a format with backing files, or leave the backing file away.',
      });
    }
  }

  /**
   * Sets the storage's length to the size, rounded up to whole sectors of 512 bytes.
   *
   * @throws LamellaError as {@link RawDriver.validateCreate} and `Storage.truncate`
   */
  async create(storage: Storage, options: CreateOptions): Promise<void> {
    this.validateCreate(options);
    await storage.truncate(alignUp(options.size, SECTOR_SIZE));
    await storage.flush();
  }
}
