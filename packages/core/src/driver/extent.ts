import type { Awaitable } from '../bytes/index.js';
import type { RangeCipher } from '../platform/index.js';
import type { Storage } from '../storage/index.js';

/**
 * Where a run of guest bytes lives, counted from the offset that was asked for. `length` is in bytes,
 * at least 1 and at most what was asked; neighbours that continue each other are joined by the driver
 * as far as cached metadata tells, and by the engine beyond that.
 */
export type Extent = DataExtent | ZeroExtent | UnallocatedExtent | CompressedExtent;

/** The bytes stand as they are at `offset` of `storage`. */
export interface DataExtent {
  /** Which of the answers this is. */
  readonly kind: 'data';
  /** Bytes from the asked offset. */
  readonly length: number;
  /** Where to read: the image's own file, or an external data file. */
  readonly storage: Storage;
  /** Byte offset within `storage`. */
  readonly offset: number;
  /** The storage may know of holes inside this range that are worth asking for. */
  readonly sparse?: boolean;
  /** The bytes are ciphered; `position` belongs to the extent's first byte. */
  readonly cipher?: RangeCipher | undefined;
}

/** The bytes are zeroes, whatever the backing layer says. */
export interface ZeroExtent {
  /** Which of the answers this is. */
  readonly kind: 'zero';
  /** Bytes from the asked offset. */
  readonly length: number;
  /** Whether space is reserved for the range all the same. */
  readonly allocated: boolean;
  /** Where that space is, if it is: byte offset within the image's storage. */
  readonly offset?: number | undefined;
}

/** This layer holds nothing here: the backing layer answers, or zeroes where there is none. */
export interface UnallocatedExtent {
  /** Which of the answers this is. */
  readonly kind: 'unallocated';
  /** Bytes from the asked offset. */
  readonly length: number;
  /** Where space is reserved for the range all the same: byte offset within the image's storage. */
  readonly offset?: number | undefined;
}

/** The bytes are part of a unit that has to be decompressed as a whole. */
export interface CompressedExtent {
  /** Which of the answers this is. */
  readonly kind: 'compressed';
  /** Bytes from the asked offset. */
  readonly length: number;
  /**
   * The bytes of this extent, decompressed.
   *
   * @throws LamellaError `CORRUPT` when they do not decompress
   */
  load(): Awaitable<Uint8Array>;
  /**
   * Decompresses straight into the reader's memory; absent where that saves nothing.
   *
   * @param target - as long as this extent
   * @throws LamellaError as {@link CompressedExtent.load}
   */
  loadInto?(target: Uint8Array): Awaitable<void>;
}
