import { alignUp } from '../bytes/index.js';
import type { Disk } from '../chain/index.js';
import type { ByteRange, LongOperation } from '../driver/index.js';
import { NOTHING_COPIED } from '../engine/index.js';
import { Pending } from '../engine/pending.js';
import { type Turn, Turns } from '../engine/turns.js';
import { LamellaError, throwIfAborted } from '../errors/index.js';
import { sampledRuns } from './sampled-runs.js';
import { type Piece, SourceDisks } from './source-pieces.js';
import { dataRuns, type Run, ZERO_GRANULE } from './zero-runs.js';

/** Bytes of one chunk that is copied at once: each wakes a thread, which takes as long as copying many pages. */
const CHUNK = 4 * 1024 * 1024;
/** The same where the operation is held back to a rate. */
const PACED_CHUNK = 1024 * 1024;
/**
 * The same, at least, where the source is compressed or encrypted. Decoding takes longer than waking threads, and
 * the page cache has small pieces of memory for small writes: those that were in use a moment ago, which the host
 * of a virtual machine has not taken away.
 */
const DECODED_CHUNK = 256 * 1024;
/** Largest unit to whose multiples data is widened, in bytes. */
const MAX_UNIT = 1024 * 1024;
/** Bytes of one chunk that is compressed: enough clusters to keep all processors busy. */
const COMPRESSED_CHUNK = 4 * 1024 * 1024;
/** From this size on, looking at the beginning of a unit costs much less than reading it, in bytes. */
const SAMPLED_GRANULE = 16 * 1024;
/** Compressed chunks under way at once. */
const COMPRESSED_LANES = 2;
/** Chunks under way at once unless the caller says otherwise. */
const DEFAULT_LANES = 8;
/** Shortest run of zeroes that is left out unless the caller says otherwise, in bytes. */
const DEFAULT_SPARSE = 4096;
const DONE: Promise<void> = Promise.resolve();

/** How disks are copied into another. */
export interface ConvertOptions extends LongOperation {
  /** Part of the sources, taken as one disk, that is copied to the target's start; all by default. */
  readonly range?: ByteRange | undefined;
  /** Store clusters compressed. False by default. */
  readonly compress?: boolean | undefined;
  /**
   * Shortest run of zero bytes that is left out or written as zeroes instead of data; 4096 by default. 0
   * writes everything, holes included. What is written begins and ends at multiples of the largest power of 2 in
   * it. Compressed clusters are left out one by one, unless it is 0.
   */
  readonly sparse?: number | undefined;
  /** The target reads as zeroes everywhere, so zeroes need no writing. False by default. */
  readonly targetIsZero?: boolean | undefined;
  /**
   * Copy only what the sources' top images hold: the target has a backing file that shows the rest. False
   * by default.
   */
  readonly topOnly?: boolean | undefined;
  /** Chunks of up to 4 MiB under way at once, 1 to 64; 8 by default. */
  readonly parallel?: number | undefined;
  /**
   * Begin writes in any order. By default each begins after the one before, which keeps the target's
   * clusters in the order of the disk.
   */
  readonly outOfOrder?: boolean | undefined;
  /**
   * Let the system copy data between files without looking at it, where both images and the platform
   * can. Zeroes among the data are then copied like everything else. False by default: then it copies only
   * between files that can share blocks, and where a look at the beginning of each cluster tells that it is not
   * all zeroes.
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
  /** Bytes read from the sources, by this process or by the system that copied them. */
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
  const copier = new Copier(source, target, options);
  const result = await copier.run();
  await target.flush();
  return result;
}

class Copier {
  readonly #source: SourceDisks;
  readonly #target: Disk;
  readonly #options: ConvertOptions;
  readonly #sparse: number;
  readonly #granule: number;
  readonly #chunk: number;
  readonly #decodedChunk: number;
  /** Chunks must begin and end at multiples of it. */
  readonly #unit: number;
  readonly #pending: Pending;
  readonly #buffers: Uint8Array[] = [];
  /** A chunk has begun when all its writes have. */
  readonly #turns = new Turns();
  /** Whether the system is asked to copy what is stored as it is. */
  #bySystem: boolean;
  #read = 0;
  #written = 0;
  #zeroed = 0;
  #done = 0;

  constructor(source: SourceDisks, target: Disk, options: ConvertOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
    const compress = options.compress === true;
    const { clusterSize = 1, subclusterSize = clusterSize } = target.openLayers[0]?.image ?? {};
    const sparse = options.sparse ?? DEFAULT_SPARSE;
    // A compressed cluster takes space of its own, so every one of zeroes is left out.
    this.#sparse = compress ? Math.min(sparse, clusterSize) : sparse;
    // Part of a cluster costs as much space as all of it, and more requests.
    this.#unit = compress ? clusterSize : Math.min(MAX_UNIT, subclusterSize);
    // Data begins and ends where requests are quick, if the runs of zeroes between are as long.
    const even = 2 ** Math.floor(Math.log2(Math.max(ZERO_GRANULE, this.#sparse)));
    this.#granule = Math.max(this.#unit, even);
    const plain = options.pace === undefined ? CHUNK : PACED_CHUNK;
    this.#chunk = compress ? Math.max(COMPRESSED_CHUNK, clusterSize) : plain;
    // No cluster is decoded twice, and runs of zeroes are looked for in pieces that can hold one.
    const atLeast = Math.max(source.largestCluster, this.#sparse);
    const decoded = alignUp(atLeast, Math.max(this.#unit, DECODED_CHUNK));
    this.#decodedChunk = compress ? this.#chunk : Math.min(this.#chunk, decoded);
    this.#bySystem =
      !compress &&
      options.onUnreadable === undefined &&
      (options.offload === true ||
        (this.#sparse > 0 && this.#granule >= SAMPLED_GRANULE && source.sharesBlocksWith(target)));
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

  async #copyPiece({ offset, length, plain }: Piece): Promise<void> {
    const { signal, pace } = this.#options;
    const end = offset + length;
    const chunk = plain ? this.#chunk : this.#decodedChunk;
    for (let position = offset; position < end && !this.#pending.failed; ) {
      throwIfAborted(signal, this.#target.location);
      const next = Math.min(end, position + chunk - (position % chunk));
      await pace?.(next - position);
      const bySystem = plain && this.#bySystem;
      await this.#pending.room();
      this.#pending.add(
        bySystem
          ? this.#copyBySystem(position, next - position)
          : this.#copyChunk(position, next - position),
      );
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

  /** Reads a chunk and writes what of it is worth that. */
  async #copyChunk(offset: number, length: number): Promise<void> {
    const turn = this.#takeTurn();
    const buffer = this.#takeBuffer();
    try {
      const bytes = buffer.subarray(0, length);
      await this.#readChunk(bytes, offset);
      this.#read += length;
      await turn.before;
      const runs = dataRuns(bytes, this.#sparse, this.#granule);
      const writing = this.#writeRuns(runs, offset, length, ({ start, end }) =>
        this.#writeData(bytes.subarray(start, end), offset + start),
      );
      turn.begun();
      await writing;
      this.#progress(length);
    } finally {
      turn.begun();
      this.#buffers.push(buffer);
    }
  }

  /** Finds out what of a chunk is worth copying, and has the system copy it. */
  async #copyBySystem(offset: number, length: number): Promise<void> {
    const turn = this.#takeTurn();
    try {
      const runs =
        this.#options.offload === true
          ? [{ start: 0, end: length }]
          : await sampledRuns(this.#source, offset, length, this.#sparse, this.#granule);
      await turn.before;
      const writing = this.#writeRuns(runs, offset, length, ({ start, end }) =>
        this.#copyRun(offset + start, offset + end),
      );
      turn.begun();
      await writing;
      this.#progress(length);
    } finally {
      turn.begun();
    }
  }

  async #copyRun(start: number, end: number): Promise<void> {
    let position = start;
    for (let last = 1; last > 0 && position < end; position += last) {
      // What goes wrong here goes wrong below as well, where it can be said better.
      const { length, bySystem } = await this.#source
        .copyInto(this.#target, position, end - position)
        .catch(() => NOTHING_COPIED);
      // Files between which the system copies nothing are not asked again.
      this.#bySystem &&= bySystem || length === 0;
      this.#read += length;
      this.#written += length;
      last = length;
    }
    if (position < end) {
      await this.#copyRest(position, end);
    }
  }

  /** Reads and writes what the system did not copy. */
  async #copyRest(start: number, end: number): Promise<void> {
    const buffer = this.#takeBuffer();
    for (let position = start; position < end; position += buffer.length) {
      const bytes = buffer.subarray(0, end - position);
      await this.#readChunk(bytes, position);
      this.#read += bytes.length;
      await this.#writeData(bytes, position);
    }
    this.#buffers.push(buffer);
  }

  #takeBuffer(): Uint8Array {
    return this.#buffers.pop() ?? new Uint8Array(this.#chunk);
  }

  /** The place of a chunk in the order in which writes begin. */
  #takeTurn(): Turn {
    const turn = this.#turns.take();
    return this.#options.outOfOrder === true ? { ...turn, before: DONE } : turn;
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
  async #writeRuns(
    runs: readonly Run[],
    offset: number,
    length: number,
    write: (run: Run) => Promise<void>,
  ): Promise<void> {
    const writes: Promise<void>[] = [];
    let position = 0;
    const zeroUntil = (end: number): void => {
      if (end > position && this.#options.targetIsZero !== true) {
        writes.push(this.#target.writeZeroes(offset + position, end - position));
        this.#zeroed += end - position;
      }
    };
    for (const run of runs) {
      zeroUntil(run.start);
      writes.push(write(run));
      position = run.end;
    }
    zeroUntil(length);
    // Buffers are used again, so none may be under way even after a failure.
    for (const result of await Promise.allSettled(writes)) {
      if (result.status === 'rejected') {
        throw result.reason;
      }
    }
  }

  #writeData(bytes: Uint8Array, offset: number): Promise<void> {
    this.#written += bytes.length;
    return this.#options.compress === true
      ? this.#target.writeCompressed(bytes, offset)
      : this.#target.write(bytes, offset);
  }

  #progress(bytes: number): void {
    this.#done += bytes;
    this.#options.onProgress?.({ done: this.#done, total: this.#source.size });
  }
}
