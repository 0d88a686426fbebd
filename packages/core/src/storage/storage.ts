import type { Awaitable } from '../bytes/index.js';
import type { StoragePermissions } from './permissions.js';

/** What a storage knows of a range without reading it. */
export interface StorageExtent {
  /** `hole` reads as zeroes and takes no space; `data` may be anything. */
  readonly kind: 'data' | 'hole';
  /** Bytes from the asked offset that are alike; at least 1, at most what was asked. */
  readonly length: number;
}

/** How zeroes are to be written. */
export interface WriteZeroesOptions {
  /** Give the space back where possible (default). `false` keeps it reserved. */
  readonly unmap?: boolean | undefined;
}

/** How a disk's bytes are to be zeroed. */
export interface ZeroRangeOptions extends WriteZeroesOptions {
  /** Write zeroes where metadata can't say it (default). `false` fails with `UNSUPPORTED` instead. */
  readonly fallback?: boolean | undefined;
}

/**
 * A flat, random-access sequence of bytes in which an image lives: a file, a block device, memory,
 * something remote. Offsets and lengths are bytes.
 *
 * Methods return a plain value when they are done at once and a promise otherwise; callers that are
 * not hot paths simply `await`. Requests may overlap in time; the storage does not order them.
 */
export interface Storage {
  /** Name to show to people and to resolve relative references against. */
  readonly location: string;
  /** Same for two storages exactly when they are one file, whatever it was called. */
  readonly identity?: string | undefined;
  /** Whether writes are allowed. */
  readonly writable: boolean;
  /**
   * Where the engine reads and writes the guest's data, if that is to be told from what a driver reads and
   * writes for itself: the same bytes by another way. A filter that treats the two differently has it; this
   * storage itself where there is none.
   */
  readonly guest?: Storage | undefined;
  /** Length in bytes, kept current by writes and truncations made through this object. */
  readonly size: number;

  /**
   * Tells other processes, and other opens in this one, what is done here, and finds out whether one of
   * them does something that does not go with it. Lasts until another call or {@link Storage.close}.
   * Afterwards {@link Storage.size} is what it was at a moment when the lock was held. Without this method
   * nobody else can have the storage open, or nothing is known of it.
   *
   * @throws LamellaError `LOCKED`; what was held before is held still
   */
  lock?(permissions: StoragePermissions): Awaitable<void>;

  /**
   * Fills the whole buffer. Bytes past the end of the storage read as zeroes.
   *
   * @throws LamellaError `IO_ERROR`, `CLOSED`
   */
  read(buffer: Uint8Array, offset: number): Awaitable<void>;

  /**
   * Writes all bytes, growing the storage if they end past it. The caller keeps `bytes` unchanged
   * until the write is done.
   *
   * @throws LamellaError `IO_ERROR`, `NO_SPACE`, `READ_ONLY`, `CLOSED`
   */
  write(bytes: Uint8Array, offset: number): Awaitable<void>;

  /**
   * Writes several pieces one after the other as one I/O: data and copy-on-write edges together.
   *
   * @throws LamellaError as {@link Storage.write}
   */
  writev(pieces: readonly Uint8Array[], offset: number): Awaitable<void>;

  /**
   * Makes a range read as zeroes, growing the storage if it ends past it.
   *
   * @throws LamellaError as {@link Storage.write}
   */
  writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): Awaitable<void>;

  /**
   * Gives a range's space back if the platform can. Afterwards each byte reads as zero or as before.
   *
   * @throws LamellaError as {@link Storage.write}
   */
  discard(offset: number, length: number): Awaitable<void>;

  /**
   * Sets the length. Growth reads as zeroes.
   *
   * @throws LamellaError as {@link Storage.write}
   */
  truncate(size: number): Awaitable<void>;

  /**
   * Where the range is sparse. A platform that can't tell answers `data`.
   *
   * @throws LamellaError `IO_ERROR`, `CLOSED`
   */
  map(offset: number, length: number): Awaitable<StorageExtent>;

  /**
   * Bytes of space that the storage takes where it lives, which holes make less than its size. A platform
   * that can't tell has no such method.
   *
   * @throws LamellaError `IO_ERROR`, `CLOSED`
   */
  allocatedSize?(): Awaitable<number>;

  /**
   * Copies from another storage without moving the bytes through this process, where that can be done.
   * Use `copyBytes`, which does the rest.
   *
   * @param source - any storage
   * @param sourceOffset - first byte there
   * @param offset - first byte here
   * @param length - bytes
   * @returns bytes copied from the start of the range on; 0 where it can't be done
   * @throws LamellaError as {@link Storage.read} and {@link Storage.write}
   */
  copyFrom?(
    source: Storage,
    sourceOffset: number,
    offset: number,
    length: number,
  ): Awaitable<number>;

  /**
   * Whether {@link Storage.copyFrom} can be expected to share blocks with that storage instead of copying
   * their bytes, so that it costs next to nothing. A platform that can't tell has no such method.
   *
   * @param source - any storage
   */
  sharesBlocksWith?(source: Storage): boolean;

  /**
   * Everything written by calls that had finished is durable when this resolves.
   *
   * @throws LamellaError `IO_ERROR`; afterwards nothing may be assumed durable
   */
  flush(): Promise<void>;

  /**
   * Releases the storage. Does not imply a flush. Closing twice is no error.
   *
   * @throws LamellaError `IO_ERROR`; the storage is released all the same
   */
  close(): Promise<void>;
}
