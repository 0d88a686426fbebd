import type { ByteRange } from './bitmaps.js';
import type { OptionValue } from './options.js';

/** What image is to be measured before it is made. */
export interface MeasureRequest {
  /** Size of the guest's disk in bytes. */
  readonly size: number;
  /** Create options, checked and completed with defaults. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Runs that will hold data, in order; everything is taken to be data if not given. */
  readonly data?: AsyncIterable<ByteRange> | undefined;
  /** Whether the new image names a backing file. */
  readonly backed?: boolean | undefined;
}

/** How much space an image will need. */
export interface Measurement {
  /** Bytes of the file when it holds just the given data. */
  readonly required: number;
  /** Bytes of the file when every cluster has been written. */
  readonly fullyAllocated: number;
  /** Bytes on top for the source's bitmaps, where the format can hold them. */
  readonly bitmaps?: number | undefined;
}
