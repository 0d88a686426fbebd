import type {
  Awaitable,
  Extent,
  Image,
  OptionValue,
  Placement,
  References,
  ResizeOptions,
  Storage,
  ZeroContext,
} from '@lamella/core';
import { alignUp, isPromise, LamellaError, PROBE_LENGTH, preallocate } from '@lamella/core';
import { checkPreallocation } from './check-preallocation.js';
import { GuardedHead } from './guarded-head.js';
import { SECTOR_SIZE, type Window, windowSize } from './window.js';

/** What a {@link RawImage} is made from. */
export interface RawImageParts {
  /** Holds the image; stays the caller's to close. */
  readonly storage: Storage;
  /** Whether closing has something to make durable. */
  readonly writable: boolean;
  /** Which part of the storage is the disk. */
  readonly window: Window;
  /** The format that a head would be taken for; set when this image's own format was only guessed. */
  readonly recognise: ((head: Uint8Array) => string) | undefined;
}

/**
 * A raw image: byte n of the disk is byte n of the storage, or of a window onto it. A storage that ends
 * within a sector makes a disk that ends with the sector; the missing bytes read as zeroes until they
 * are written.
 */
export class RawImage implements Image {
  readonly clusterSize = 1;
  readonly references: References = {};
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly #storage: Storage;
  readonly #writable: boolean;
  readonly #window: Window;
  readonly #start: number;
  /** Takes changes below {@link #guardEnd}. */
  readonly #head: Storage;
  /** End of what is guarded, bytes of the storage; 0 without a guard. */
  readonly #guardEnd: number;
  #size: number;
  #closed = false;

  /** @internal Made by `RawDriver.open`. */
  constructor({ storage, writable, window, recognise }: RawImageParts) {
    this.#storage = storage;
    this.#writable = writable;
    this.#window = window;
    this.#start = window.offset;
    this.#size = windowSize(window, storage.size);
    this.#head = recognise === undefined ? storage : new GuardedHead(storage, recognise);
    this.#guardEnd = recognise === undefined ? 0 : PROBE_LENGTH;
    this.options = {
      ...(window.offset === 0 ? {} : { offset: window.offset }),
      ...(window.size === undefined ? {} : { size: window.size }),
    };
  }

  get size(): number {
    return this.#size;
  }

  map(offset: number, length: number): Extent {
    return {
      kind: 'data',
      length,
      storage: this.#storage,
      offset: this.#start + offset,
      sparse: true,
    };
  }

  place(offset: number, length: number): Placement {
    const position = this.#start + offset;
    return { kind: 'in-place', length, storage: this.#target(position), offset: position };
  }

  zero(offset: number, length: number, context: ZeroContext): Awaitable<number> {
    const position = this.#start + offset;
    const { unmap } = context;
    const writing = this.#target(position).writeZeroes(position, length, { unmap });
    return isPromise(writing) ? writing.then(() => length) : length;
  }

  discard(offset: number, length: number): Awaitable<void> {
    const position = this.#start + offset;
    return this.#target(position).discard(position, length);
  }

  flush(): Promise<void> {
    return this.#storage.flush();
  }

  /**
   * Sets the storage's length, and reserves space for new bytes as asked: `falloc` takes space without
   * writing, `full` writes zeroes. A growth that fails is undone.
   *
   * @throws LamellaError `UNSUPPORTED` for a window of given size, `INVALID_ARGUMENT` for a
   * preallocation of `metadata` or when shrinking, `ABORTED`, `NO_SPACE`, and as `Storage.truncate`
   */
  async resize(size: number, options: ResizeOptions = {}): Promise<void> {
    const preallocation = options.preallocation ?? 'off';
    const { location } = this.#storage;
    checkPreallocation(preallocation, location);
    if (this.#window.size !== undefined) {
      throw new LamellaError('UNSUPPORTED', 'the disk was opened with a fixed size', {
        location,
        hint: "Open it without the option 'size'.",
      });
    }
    const oldEnd = this.#storage.size;
    const end = this.#start + size;
    if (!Number.isSafeInteger(end)) {
      throw new LamellaError('LIMIT_EXCEEDED', `the file can't grow to ${end} bytes`, { location });
    }
    if (preallocation !== 'off' && size < this.#size) {
      throw new LamellaError(
        'INVALID_ARGUMENT',
        'space can be preallocated only when an image grows',
        {
          location,
          hint: 'Leave the preallocation away to make the image smaller.',
        },
      );
    }
    try {
      await preallocate(this.#storage, oldEnd, end, preallocation, options);
    } catch (error) {
      await this.#undoGrowth(oldEnd);
      throw error;
    }
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

  /** One comparison per change is all that the guard costs behind the head. */
  #target(position: number): Storage {
    return position < this.#guardEnd ? this.#head : this.#storage;
  }

  async #undoGrowth(oldEnd: number): Promise<void> {
    if (this.#storage.size > oldEnd) {
      try {
        await this.#storage.truncate(oldEnd);
      } catch {
        // The error that made the growth fail says more.
      }
    }
  }
}
