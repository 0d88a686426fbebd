import type { Awaitable } from '../bytes/index.js';
import type { RangeCipher } from '../platform/index.js';
import type { Storage } from '../storage/index.js';

/**
 * Where the first `length` bytes of a write go. `length` is at least 1 and at most what was asked;
 * the engine asks again for the rest.
 */
export type Placement = InPlace | Allocation;

/** The range has space of its own already: write and be done. */
export interface InPlace {
  /** Which of the answers this is. */
  readonly kind: 'in-place';
  /** Bytes of the write that this covers. Ends with the write or at a boundary of the format's units. */
  readonly length: number;
  /** Where to write: the image's own file, or an external data file. */
  readonly storage: Storage;
  /** Byte offset within `storage` of the first byte of the write. */
  readonly offset: number;
  /** The bytes are to be ciphered; `position` belongs to the first byte of the write. */
  readonly cipher?: RangeCipher | undefined;
}

/**
 * Space was set aside for the range but nothing points to it yet. The engine fills
 * `[offset - copyBefore, offset + length + copyAfter)` of `storage` - the edges with what the guest
 * reads there now - and then calls {@link Allocation.commit} once, or {@link Allocation.abort} once
 * when something failed.
 *
 * Until then the engine lets no other write, discard or zeroing into the same clusters.
 */
export interface Allocation {
  /** Which of the answers this is. */
  readonly kind: 'allocation';
  /** Bytes of the write that this covers. Ends with the write or at a boundary of the format's units. */
  readonly length: number;
  /** Where to write: the image's own file, or an external data file. */
  readonly storage: Storage;
  /** Byte offset within `storage` of the first byte of the write. */
  readonly offset: number;
  /** The bytes are to be ciphered; `position` belongs to the first byte of the write. */
  readonly cipher?: RangeCipher | undefined;
  /** Bytes before the write that share its clusters and must be copied. */
  readonly copyBefore: number;
  /** Bytes after the write that share its clusters and must be copied; may reach past the disk's end, where zeroes are. */
  readonly copyAfter: number;
  /** The host range reads as zeroes already, so edges of zeroes need not be written. Never with a cipher. */
  readonly fresh: boolean;
  /**
   * The data is written: make the mapping point to it. Durable with the next flush.
   *
   * @throws LamellaError; the engine then calls {@link Allocation.abort}
   */
  commit(): Awaitable<void>;
  /** Nothing was mapped: the space may be used for something else. Never throws. */
  abort(): void;
}
