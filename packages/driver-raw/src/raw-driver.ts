import type {
  BlockDriver,
  CreateOptions,
  Measurement,
  MeasureRequest,
  OpenOptions,
  OptionSchema,
  Preallocation,
  Storage,
} from '@lamella/core';
import { alignUp, LamellaError, preallocate } from '@lamella/core';
import { injectable } from 'tsyringe';
import { checkPreallocation } from './check-preallocation.js';
import { RawImage } from './raw-image.js';
import { OPEN_OPTIONS, parseWindow, SECTOR_SIZE } from './window.js';

/** Create options, named as `qemu-img create -o` names them. */
const CREATE_OPTIONS: OptionSchema = {
  preallocation: {
    type: 'string',
    description: 'Preallocation mode (allowed values: off, falloc, full)',
    choices: ['off', 'falloc', 'full'],
  },
};

/** The raw format: no header, no metadata, the storage is the disk. */
@injectable()
export class RawDriver implements BlockDriver {
  readonly format = 'raw';
  readonly createOptions = CREATE_OPTIONS;
  readonly openOptions = OPEN_OPTIONS;
  readonly supportsBacking = false;
  readonly sharesStorage = true;

  /** Anything may be a raw image, so raw takes what no other driver wants. */
  probe(): number {
    return 1;
  }

  /**
   * Opens without reading anything: every content is valid. Where the format was only guessed
   * (`options.recognise`), a write that would make the image look like another format fails with
   * `FORMAT_CHANGE`.
   *
   * @throws LamellaError `INVALID_ARGUMENT` or `OUT_OF_RANGE` for a window that does not fit the storage
   */
  async open(storage: Storage, options: OpenOptions): Promise<RawImage> {
    const { writable, recognise } = options;
    const window = parseWindow(options.options ?? {}, storage.size, storage.location);
    return new RawImage({ storage, writable, window, recognise });
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
    checkPreallocation(preallocationOf(options.options.preallocation));
    if (options.backing !== undefined) {
      throw new LamellaError('INVALID_ARGUMENT', 'a raw image cannot name a backing file', {
        hint: 'Use a format with backing files, or leave the backing file away.',
      });
    }
  }

  /**
   * Sets the storage's length to the size, rounded up to whole sectors of 512 bytes, with space reserved
   * as asked.
   *
   * @throws LamellaError as {@link RawDriver.validateCreate} and `Storage.truncate`
   */
  async create(storage: Storage, options: CreateOptions): Promise<void> {
    this.validateCreate(options);
    const preallocation = preallocationOf(options.options.preallocation);
    const { signal, onProgress } = options;
    const end = alignUp(options.size, SECTOR_SIZE);
    await preallocate(storage, 0, end, preallocation, { signal, onProgress });
    await storage.flush();
  }

  /**
   * A raw image is as long as its disk, whatever it holds.
   *
   * @throws LamellaError as {@link RawDriver.validateCreate}
   */
  async measure(request: MeasureRequest): Promise<Measurement> {
    this.validateCreate({ size: request.size, options: request.options });
    const bytes = alignUp(request.size, SECTOR_SIZE);
    return { required: bytes, fullyAllocated: bytes };
  }
}

function preallocationOf(value: unknown): Preallocation {
  switch (value) {
    case undefined:
      return 'off';
    case 'off':
    case 'metadata':
    case 'falloc':
    case 'full':
      return value;
    default:
      throw new LamellaError('INVALID_ARGUMENT', `there is no preallocation '${String(value)}'`, {
        hint: "Use 'off', 'falloc' or 'full'.",
      });
  }
}
