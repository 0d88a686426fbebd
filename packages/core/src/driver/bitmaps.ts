/** A dirty bitmap kept in an image. */
export interface BitmapInfo {
  /** Name, unique in the image. */
  readonly name: string;
  /** Bytes of the disk that one bit stands for. */
  readonly granularity: number;
  /** Whether writes are recorded in it. */
  readonly recording: boolean;
  /** It was in use when the image was last left uncleanly, so what it says can't be relied on. */
  readonly inconsistent: boolean;
}

/** What bitmap to add. */
export interface AddBitmapOptions {
  /** Name. */
  readonly name: string;
  /** Bytes of the disk that one bit stands for, a power of two; 64 KiB by default. */
  readonly granularity?: number | undefined;
  /** Whether writes are recorded in it from now on; true by default. */
  readonly recording?: boolean | undefined;
}

/** A run of bytes of the disk. */
export interface ByteRange {
  /** First byte. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * The dirty bitmaps inside an image. Changes are durable with the next flush or close, or marked as not
 * to be relied on after a crash before that.
 */
export interface BitmapStore {
  /** All bitmaps, in the order of the image. */
  list(): readonly BitmapInfo[];
  /**
   * @throws LamellaError `ALREADY_EXISTS`, `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `READ_ONLY`
   */
  add(options: AddBitmapOptions): Promise<void>;
  /**
   * @throws LamellaError `NOT_FOUND`, `READ_ONLY`
   */
  remove(name: string): Promise<void>;
  /**
   * Forgets what was recorded.
   *
   * @throws LamellaError `NOT_FOUND`, `READ_ONLY`, `CORRUPT` for an inconsistent bitmap
   */
  clear(name: string): Promise<void>;
  /**
   * Starts (true) or stops recording.
   *
   * @throws LamellaError `NOT_FOUND`, `READ_ONLY`, `CORRUPT` for an inconsistent bitmap
   */
  setRecording(name: string, recording: boolean): Promise<void>;
  /**
   * Adds to one bitmap what others have recorded.
   *
   * @throws LamellaError `NOT_FOUND`, `READ_ONLY`, `CORRUPT` for an inconsistent bitmap
   */
  merge(target: string, sources: readonly string[]): Promise<void>;
  /**
   * Adds ranges to what a bitmap has recorded: what one of another image has, for example. Bits that a range
   * touches in part are set.
   *
   * @throws LamellaError `NOT_FOUND`, `READ_ONLY`, `CORRUPT` for an inconsistent bitmap, `OUT_OF_RANGE`, and
   * what the ranges throw; nothing is added then
   */
  mergeRanges(target: string, ranges: AsyncIterable<ByteRange>): Promise<void>;
  /**
   * What was recorded, as runs in order: for an incremental backup.
   *
   * @throws LamellaError `NOT_FOUND`, `CORRUPT`
   */
  ranges(name: string): AsyncIterable<ByteRange>;
}
