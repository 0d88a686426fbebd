import type { BitmapInfo, ByteRange } from './bitmaps.js';
import type { OptionValue } from './options.js';

/** What image is to be measured before it is made. */
export interface MeasureRequest {
  /** Size of the guest's disk in bytes. */
  readonly size: number;
  /** Create options, checked and completed with defaults. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Runs that will hold data, in order; everything is taken to be data if not given. */
  readonly data?: AsyncIterable<ByteRange> | undefined;
  /**
   * Whether the new image names a backing file: with runs of a source given, everything counts as data then,
   * because what the source does not hold may have to be stored as zeroes over the backing file.
   */
  readonly backed?: boolean | undefined;
  /** Bitmaps of the source, where its format has any. */
  readonly bitmaps?: readonly Pick<BitmapInfo, 'name' | 'granularity'>[] | undefined;
}

/** How much space an image will need. */
export interface Measurement {
  /** Bytes of the file when it holds just the given data. */
  readonly required: number;
  /** Bytes of the file when every cluster has been written. */
  readonly fullyAllocated: number;
  /** Bytes on top for the source's bitmaps, where they were given and the image can hold them. */
  readonly bitmaps?: number | undefined;
}
