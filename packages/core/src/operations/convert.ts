import type { Disk } from '../chain/index.js';
import type { ByteRange, LongOperation } from '../driver/index.js';
import { Pending } from '../engine/pending.js';
import { LamellaError, throwIfAborted } from '../errors/index.js';
import { copyBytes } from '../storage/index.js';
import { type Piece, SourceDisks } from './source-pieces.js';
import { dataRuns, ZERO_GRANULE } from './zero-runs.js';

/** Bytes of one chunk that is read and written at once. */
const CHUNK = 1024 * 1024;
/** Bytes of one chunk that is compressed: enough clusters to keep all processors busy. */
const COMPRESSED_CHUNK = 4 * 1024 * 1024;
/** Compressed chunks under way at once. */
const COMPRESSED_LANES = 2;
/** Chunks under way at once unless the caller says otherwise. */
const DEFAULT_LANES = 8;
/** Shortest run of zeroes that is left out unless the caller says otherwise, in bytes. */
const DEFAULT_SPARSE = 4096;

/** How disks are copied into another. */
export interface ConvertOptions extends LongOperation {
  /** Part of the sources, taken as one disk, that is copied to the target's start; all by default. */
  readonly range?: ByteRange | undefined;
  /** Store clusters compressed. False by default. */
  readonly compress?: boolean | undefined;
  /**
   * Shortest run of zero bytes that is left out or written as zeroes instead of data; 4096 by default. 0
   * writes everything, holes included.
   */
  readonly sparse?: number | undefined;
  /** The target reads as zeroes everywhere, so zeroes need no writing. False by default. */
  readonly targetIsZero?: boolean | undefined;
  /**
   * Copy only what the sources' top images hold: the target has a backing file that shows the rest. False
   * by default.
   */
  readonly topOnly?: boolean | undefined;
  /** Chunks of 1 MiB under way at once, 1 to 64; 8 by default. */
  readonly parallel?: number | undefined;
  /**
   * Begin writes in any order. By default each begins after the one before, which keeps the target's
   * clusters in the order of the disk.
   */
  readonly outOfOrder?: boolean | undefined;
  /**
   * Let the system copy data between files without looking at it, where both images and the platform
   * can. Zeroes among the data are then copied like everything else. False by default.
   */
  readonly offload?: boolean | undefined;
  /**
   * Told of every sector that can't be read; it becomes zeroes. Without it such an error ends the
   * operation.
   */
  readonly onUnreadable?: ((offset: number, length: number, error: unknown) => void) | undefined;
  /** Awaited before each chunk, with its bytes: holds the operation back to a rate. */
  readonly pace?: ((bytes: number) => Promise<void>) | undefined;
}

/** What was copied. */
export interface ConvertResult {
  /** Bytes read from the sources. */
  readonly read: number;
  /** Bytes written to the target as data, compressed or not. */
  readonly written: number;
  /** Bytes written to the target as zeroes. */
  readonly zeroed: number;
}

/**
 * Copies disks, one behind the other, into another one, and makes the copy durable. Holes and runs of zeroes
 * stay holes. Memory is bounded by the chunks under way. Progress is told in bytes of the sources. After a
 * failure the target holds part of the copy; whoever made it for this removes it.
 *
 * @param sources - open for reading; at least one
 * @param target - open for writing, at least as large as all sources together
 * @throws LamellaError `INVALID_ARGUMENT` when the target is too small, `UNSUPPORTED` when it can't
 * compress, `ABORTED`, and what reading and writing throws
 */
export async function convert(
  sources: readonly Disk[],
  target: Disk,
  options: ConvertOptions = {},
): Promise<ConvertResult> {
  const source = new SourceDisks(sources, options.range);
  if (source.size > target.size) {
    throw new LamellaError('INVALID_ARGUMENT', 'the target is smaller than the source', {
      location: target.location,
      hint: `It needs ${source.size} bytes.`,
    });
  }
  const copier = new Copier(sources, source, target, options);
  const result = await copier.run();
  await target.flush();
  return result;
}

class Copier {
  readonly #sources: readonly Disk[];
  readonly #source: SourceDisks;
  readonly #target: Disk;
  readonly #options: ConvertOptions;
  readonly #sparse: number;
  readonly #granule: number;
  readonly #chunk: number;
  /** Chunks must begin and end at multiples of it. */
  readonly #unit: number;
  readonly #pending: Pending;
  readonly #buffers: Uint8Array[] = [];
  /** Done when the write of the chunk before has begun. */
  #turn: Promise<void> = Promise.resolve();
  #read = 0;
  #written = 0;
  #zeroed = 0;
  #done = 0;

  constructor(
    sources: readonly Disk[],
    source: SourceDisks,
    target: Disk,
    options: ConvertOptions,
  ) {
    this.#sources = sources;
    this.#source = source;
    this.#target = target;
    this.#options = options;
    const compress = options.compress === true;
    const { clusterSize = 1, subclusterSize = clusterSize } = target.openLayers[0]?.image ?? {};
    this.#sparse = options.sparse ?? DEFAULT_SPARSE;
    // Part of a cluster costs as much space as all of it, and more requests.
    this.#unit = compress ? clusterSize : Math.min(CHUNK, subclusterSize);
    const smallest = Math.max(ZERO_GRANULE, Math.min(this.#sparse, DEFAULT_SPARSE));
    this.#granule = Math.max(this.#unit, smallest);
    this.#chunk = compress ? Math.max(COMPRESSED_CHUNK, clusterSize) : CHUNK;
    const lanes = Math.min(64, Math.max(1, options.parallel ?? DEFAULT_LANES));
    this.#pending = new Pending(compress ? Math.min(lanes, COMPRESSED_LANES) : lanes);
  }

  async run(): Promise<ConvertResult> {
    const { signal, topOnly = false } = this.#options;
    try {
      for await (const piece of this.#source.pieces(this.#unit, topOnly, signal)) {
        if (piece.kind === 'data' || this.#sparse === 0) {
          await this.#copyPiece(piece);
        } else {
          await this.#zeroPiece(piece);
        }
        if (this.#pending.failed) {
          break;
        }
      }
    } catch (error) {
      this.#pending.fail(error);
    }
    await this.#pending.settle();
    return { read: this.#read, written: this.#written, zeroed: this.#zeroed };
  }

  async #copyPiece({ offset, length }: Piece): Promise<void> {
    const { signal, pace } = this.#options;
    const end = offset + length;
    for (let position = offset; position < end && !this.#pending.failed; ) {
      throwIfAborted(signal, this.#target.location);
      const next = Math.min(end, position + this.#chunk - (position % this.#chunk));
      await pace?.(next - position);
      await this.#pending.room();
      this.#pending.add(this.#copyChunk(position, next - position));
      position = next;
    }
  }

  async #zeroPiece({ offset, length }: Piece): Promise<void> {
    throwIfAborted(this.#options.signal, this.#target.location);
    if (this.#options.targetIsZero !== true) {
      await this.#pending.room();
      this.#pending.add(this.#target.writeZeroes(offset, length));
      this.#zeroed += length;
    }
    this.#progress(length);
  }

  async #copyChunk(offset: number, length: number): Promise<void> {
    const before = this.#turn;
    let begun: () => void = () => undefined;
    this.#turn = new Promise((resolve) => {
      begun = resolve;
    });
    const buffer = this.#buffers.pop() ?? new Uint8Array(this.#chunk);
    try {
      if (this.#options.offload !== true || !(await this.#offload(offset, length))) {
        const bytes = buffer.subarray(0, length);
        await this.#readChunk(bytes, offset);
        this.#read += length;
        if (this.#options.outOfOrder !== true) {
          await before;
        }
        const writing = this.#writeChunk(bytes, offset);
        begun();
        await writing;
      }
      this.#progress(length);
    } finally {
      begun();
      this.#buffers.push(buffer);
    }
  }

  async #readChunk(bytes: Uint8Array, offset: number): Promise<void> {
    const { onUnreadable } = this.#options;
    try {
      await this.#source.read(bytes, offset);
    } catch (error) {
      if (onUnreadable === undefined) {
        throw error;
      }
      if (bytes.length <= ZERO_GRANULE) {
        bytes.fill(0);
        onUnreadable(offset, bytes.length, error);
        return;
      }
      const half = Math.ceil(bytes.length / 2 / ZERO_GRANULE) * ZERO_GRANULE;
      await this.#readChunk(bytes.subarray(0, half), offset);
      await this.#readChunk(bytes.subarray(half), offset + half);
    }
  }

  /** Begins the writes of a chunk at once, in order; done when all have ended. */
  async #writeChunk(bytes: Uint8Array, offset: number): Promise<void> {
    const writes: Promise<void>[] = [];
    let position = 0;
    const zeroUntil = (end: number): void => {
      if (end > position && this.#options.targetIsZero !== true) {
        writes.push(this.#target.writeZeroes(offset + position, end - position));
        this.#zeroed += end - position;
      }
    };
    for (const { start, end } of dataRuns(bytes, this.#sparse, this.#granule)) {
      zeroUntil(start);
      const part = bytes.subarray(start, end);
      writes.push(
        this.#options.compress === true
          ? this.#target.writeCompressed(part, offset + start)
          : this.#target.write(part, offset + start),
      );
      this.#written += end - start;
      position = end;
    }
    zeroUntil(bytes.length);
    // The buffer is used again, so none may be under way even after a failure.
    for (const result of await Promise.allSettled(writes)) {
      if (result.status === 'rejected') {
        throw result.reason;
      }
    }
  }

  /** Has the system copy a chunk that lies whole in one file, into space that the target has already. */
  async #offload(offset: number, length: number): Promise<boolean> {
    const [disk] = this.#sources;
    const top = this.#target.openLayers[0];
    const place = top?.image.place;
    // Only an image that never allocates can be written past the engine.
    if (
      disk === undefined ||
      this.#sources.length > 1 ||
      this.#options.range !== undefined ||
      top?.image.clusterSize !== 1
    ) {
      return false;
    }
    for await (const extent of disk.extents({ offset, length })) {
      const storage = disk.openLayers[extent.layer ?? 0]?.storage;
      const placement = await place?.call(top.image, offset, length);
      if (
        extent.kind !== 'data' ||
        extent.length < length ||
        extent.hostOffset === undefined ||
        storage === undefined ||
        placement?.kind !== 'in-place' ||
        placement.length < length ||
        placement.cipher !== undefined
      ) {
        return false;
      }
      await copyBytes(storage, extent.hostOffset, placement.storage, placement.offset, length);
      this.#written += length;
      return true;
    }
    return false;
  }

  #progress(bytes: number): void {
    this.#done += bytes;
    this.#options.onProgress?.({ done: this.#done, total: this.#source.size });
  }
}
