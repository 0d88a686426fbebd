import type { Awaitable } from '../bytes/index.js';
import type { BitmapStore } from './bitmaps.js';
import type { CheckOptions, CheckResult } from './check.js';
import type { ClusterCompressor } from './cluster-compressor.js';
import type { Extent } from './extent.js';
import type { LongOperation } from './long-operation.js';
import type { OptionValue, OptionValues } from './options.js';
import type { Placement } from './placement.js';
import type { Reference, References } from './references.js';
import type { SnapshotStore } from './snapshots.js';

/** What the engine knows of the layers below, when it clears a range. */
export interface ClearContext {
  /** An unallocated cluster in this range would read as zeroes: no layer below reaches it. */
  readonly zeroBelow: boolean;
}

/** How a range is to be zeroed. */
export interface ZeroContext extends ClearContext {
  /** Space may be given back; `false` asks to keep or reserve it where the format can. */
  readonly unmap: boolean;
}

/** A fact about an image. */
export type DetailValue = string | number | boolean | ImageDetails | readonly DetailValue[];

/**
 * Facts about an image that belong to its format, in the order in which they are told: names in lower case
 * with dashes, as `qemu-img info --output=json` has them under `format-specific`.
 */
export interface ImageDetails {
  readonly [name: string]: DetailValue;
}

/** Space that is reserved before it is written: none, the metadata, the file's blocks, or zeroes in all of it. */
export type Preallocation = 'off' | 'metadata' | 'falloc' | 'full';

/** How an image's size is to change. */
export interface ResizeOptions extends LongOperation {
  /** Space to reserve for new bytes; `'off'` by default. */
  readonly preallocation?: Preallocation | undefined;
}

/** What the engine knows, and can do, for an image whose size changes. */
export interface ResizeContext {
  /**
   * Byte of the disk up to which a layer below has something to show, `Infinity` when the one that the image
   * names was left out, 0 without one. Unallocated bytes before it do not read as zeroes.
   */
  readonly backingSize: number;
  /**
   * Makes bytes read as zeroes by way of the image's own methods, with all that copy-on-write and encryption
   * need. For the cluster in which the disk ends; call it while {@link Image.size} reaches to the range's end.
   *
   * @param asData - store the zeroes, so that they have the space that they take
   * @throws LamellaError as `Disk.writeZeroes`
   */
  zero(offset: number, length: number, asData?: boolean): Promise<void>;
}

/**
 * An open image: the answers to "where does this guest range live". It moves no guest data itself;
 * the engine does, by these answers.
 *
 * Offsets and lengths are bytes of the guest's disk. The engine calls with
 * `0 <= offset`, `1 <= length`, `offset + length <= size` only, may have many calls under way at
 * once, and keeps writes, zeroing and discards away from clusters in which an allocating write, zeroing
 * or discard is under way. Whole-image operations (resize, close) run alone.
 */
export interface Image {
  /** Size of the guest's disk in bytes. */
  readonly size: number;
  /**
   * Smallest part of a cluster, in bytes, that can be allocated while the rest of it is not; the cluster by
   * default.
   */
  readonly subclusterSize?: number | undefined;
  /**
   * Unit of allocation in bytes; 1 for an image that never allocates. Two writes to one cluster may
   * depend on each other, writes to two clusters never do.
   */
  readonly clusterSize: number;
  /** Files that the image names, as written. */
  readonly references: References;
  /** What else is worth knowing of the image, for people and programs; see {@link ImageDetails}. */
  readonly details?: ImageDetails | undefined;
  /** Whether the guest's data are encrypted; false by default. */
  readonly encrypted?: boolean | undefined;
  /** Whether the image was last left without being closed; false by default. */
  readonly unclean?: boolean | undefined;
  /** Properties of the image under the names of its create options, for people: `cluster_size`, … */
  readonly options: Readonly<Record<string, OptionValue>>;

  /**
   * Where a guest range lives. Returns a plain value whenever the metadata is cached.
   *
   * @throws LamellaError `CORRUPT`, `TRUNCATED`, `UNSUPPORTED`, `IO_ERROR`
   */
  map(offset: number, length: number): Awaitable<Extent>;

  /**
   * Whether the storage may have holes where the image says data, as where space was mapped in advance: who lists
   * extents then asks the storage. {@link DataExtent.sparse} says the same of a single extent, of formats that map
   * nothing themselves. False by default.
   *
   * @throws LamellaError `IO_ERROR`
   */
  mayHaveHoles?(): Awaitable<boolean>;

  /**
   * Where a write goes. Without this method the image is read-only.
   *
   * @throws LamellaError `NO_SPACE`, `CORRUPT`, `LIMIT_EXCEEDED`, `IO_ERROR`
   */
  place?(offset: number, length: number): Awaitable<Placement>;

  /**
   * Makes the longest prefix of the range that it can read as zeroes without writing data. The engine
   * writes zeroes for what is left over and asks again behind it. `offset` is aligned to the cluster
   * size; `length` is too, unless the range ends with the disk.
   *
   * @returns bytes done, 0 if the first cluster can't be done
   * @throws LamellaError as {@link Image.place}
   */
  zero?(offset: number, length: number, context: ZeroContext): Awaitable<number>;

  /**
   * Drops whole clusters. Afterwards each byte reads as zero or as before, never as what the backing
   * layer says. Aligned like {@link Image.zero}. Without this method discards do nothing.
   *
   * @throws LamellaError as {@link Image.place}
   */
  discard?(offset: number, length: number, context: ClearContext): Awaitable<void>;

  /**
   * Makes all committed writes durable, metadata in the order that a crash at any point leaks space
   * at most. Without this method the engine flushes the storage.
   *
   * @throws LamellaError `IO_ERROR`, `NO_SPACE`; what was not written is tried again by the next flush
   */
  flush?(): Promise<void>;

  /**
   * Changes the size of the guest's disk. New bytes read as zeroes. The engine zeroes afterwards whatever a
   * layer below would show; an image that takes the context can do so before the new size is durable.
   *
   * @param size - bytes
   * @throws LamellaError `INVALID_ARGUMENT`, `UNSUPPORTED`, `LIMIT_EXCEEDED`, `NO_SPACE`, `ABORTED`
   */
  resize?(size: number, options?: ResizeOptions, context?: ResizeContext): Promise<void>;

  /** Stores clusters compressed, where the format and this image can. */
  readonly compressor?: ClusterCompressor | undefined;

  /**
   * Looks for damage and mends it. Runs alone.
   *
   * @throws LamellaError `IO_ERROR`, `READ_ONLY`, `ABORTED`; damage is reported, not thrown
   */
  check?(options: CheckOptions): Promise<CheckResult>;

  /**
   * Names another backing file in the image, or none; the data is left as it is. Durable when it
   * resolves. Runs alone.
   *
   * @throws LamellaError `UNSUPPORTED`, `LIMIT_EXCEEDED` (no room for the name), `READ_ONLY`
   */
  setBacking?(backing: Reference | undefined): Promise<void>;

  /**
   * Drops all data, so that everything shows the backing layer; for an image whose data was just copied
   * there. Durable when it resolves; a crash in between leaves any part of the data. Runs alone.
   *
   * @throws LamellaError `READ_ONLY`, `UNSUPPORTED`, `IO_ERROR`
   */
  makeEmpty?(): Promise<void>;

  /**
   * Changes options of the image as {@link BlockDriver.amendOptions} lists them. Runs alone.
   *
   * @param options - only those to change
   * @param context - for an option that changes the size
   * @throws LamellaError `UNSUPPORTED` with the reason when a feature in use would be lost,
   * `INVALID_ARGUMENT`, `ABORTED`
   */
  amend?(options: OptionValues, operation: LongOperation, context?: ResizeContext): Promise<void>;

  /** Snapshots inside the image, where the format has them. */
  readonly snapshots?: SnapshotStore | undefined;

  /** Dirty bitmaps inside the image, where the format has them. */
  readonly bitmaps?: BitmapStore | undefined;

  /**
   * Flushes and marks the image as cleanly closed. The storage stays open: who opened it closes it.
   * Closing twice is no error.
   *
   * @throws LamellaError as {@link Image.flush}
   */
  close(): Promise<void>;
}
