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
  /**
   * Bytes of the disk that one bit stands for, a power of two from 512 to 2^31; by default what a cluster
   * has, but at least 4096 and at most 65536.
   */
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
 * The dirty bitmaps inside an image. Changes made here are durable when they resolve. What writes record is
 * stored when the image is closed; a bitmap that records is marked, durably, before the first write, so
 * after a crash it is inconsistent instead of wrong. Changes run alone.
 */
export interface BitmapStore {
  /**
   * All bitmaps, in the order of the image.
   *
   * @throws LamellaError `CORRUPT`, `UNSUPPORTED`, `LIMIT_EXCEEDED` when the image says nothing useful of
   * them; its data may be sound all the same. As every other method
   */
  list(): readonly BitmapInfo[];
  /**
   * @throws LamellaError `ALREADY_EXISTS`, `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `READ_ONLY`, `UNSUPPORTED`
   * when this image can't have any, `NO_SPACE`
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
   * What was recorded, as runs in order, apart from each other and within the disk: for an incremental
   * backup. What is recorded or changed while they are read may or may not be among them.
   *
   * @throws LamellaError `NOT_FOUND`, `CORRUPT`
   */
  ranges(name: string): AsyncIterable<ByteRange>;
}
