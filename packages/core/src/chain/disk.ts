import type {
  CheckOptions,
  CheckResult,
  LongOperation,
  OptionValues,
  ResizeOptions,
} from '../driver/index.js';
import {
  type Copied,
  type DiskExtent,
  Engine,
  type LayerStack,
  type MissingBacking,
} from '../engine/index.js';
import { LamellaError } from '../errors/index.js';
import type { ZeroRangeOptions } from '../storage/index.js';
import { DiskBitmaps } from './disk-bitmaps.js';
import { DiskSnapshots } from './disk-snapshots.js';
import { closeLayers, describeLayer, type Layer, type LayerInfo } from './layer.js';
import { readableOf, type StreamOptions, writableOf } from './streams.js';

/** Part of a disk to look at, and how to end early. */
export interface ExtentsOptions {
  /** First byte; 0 by default. */
  readonly offset?: number | undefined;
  /** Bytes; up to the disk's end by default. */
  readonly length?: number | undefined;
  /** Ends the listing with `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

/** An open disk at the top of a chain. */
export type OpenLayers = readonly [Layer, ...Layer[]];

/**
 * A virtual disk: a chain of images, top first, seen as one sequence of bytes. Writes go to the top
 * layer; reads fall through to the first layer that holds the bytes.
 *
 * Requests may be made without waiting for earlier ones. Overlapping requests under way at the same
 * time have no defined order among each other, but never corrupt the image. Close it, or declare it with
 * `await using`.
 */
export class Disk implements AsyncDisposable {
  /** The dirty bitmaps in the top image. */
  readonly bitmaps: DiskBitmaps;
  readonly #layers: OpenLayers;
  readonly #borrowed: readonly Layer[];
  readonly #missing: MissingBacking | undefined;
  readonly #engine: Engine;
  readonly #snapshots: DiskSnapshots;
  #closing: Promise<void> | undefined;

  /**
   * Made by `Lamella`; programs have no need to call it.
   *
   * @param layers - open images that this disk owns and closes, top first
   * @param below - further open layers that somebody else owns
   * @param missing - the backing file that the last layer names and that was left out
   */
  constructor(layers: OpenLayers, below: readonly Layer[] = [], missing?: MissingBacking) {
    this.#layers = layers;
    this.#borrowed = below;
    this.#missing = missing;
    const stack: LayerStack = { layers: [layers[0], ...layers.slice(1), ...below], missing };
    this.#engine = new Engine(stack, layers[0].writable);
    this.#snapshots = new DiskSnapshots({
      layer: layers[0],
      writable: layers[0].writable,
      alone: (action) => this.#engine.alone(action),
      over: (layer) => new Disk([layer], this.#all.slice(1), missing),
    });
    this.bitmaps = new DiskBitmaps(layers[0], this.#engine);
  }

  /** Size of the disk in bytes. */
  get size(): number {
    return this.#layers[0].image.size;
  }

  /** Where the top layer lives. */
  get location(): string {
    return this.#layers[0].storage.location;
  }

  /** Format of the top layer. */
  get format(): string {
    return this.#layers[0].format;
  }

  /** Whether writes are allowed and the top format takes them. */
  get isWritable(): boolean {
    return this.#engine.writable;
  }

  /** The layers, top first. */
  get layers(): readonly LayerInfo[] {
    return this.#all.map(describeLayer);
  }

  /** The snapshots inside the top image. */
  get snapshots(): DiskSnapshots {
    return this.#snapshots;
  }

  /** The backing file that the last layer names and that was not opened, by reference policy. */
  get missingBacking(): MissingBacking | undefined {
    return this.#missing;
  }

  /**
   * Fills the buffer with the disk's bytes from `offset` on.
   *
   * @param buffer - as many bytes as are wanted
   * @param offset - bytes, `0 <= offset` and `offset + buffer.length <= size`
   * @throws LamellaError `OUT_OF_RANGE`, `INVALID_ARGUMENT`, `CLOSED`, `IO_ERROR`, `CORRUPT`,
   * `TRUNCATED`, `REFERENCE_DENIED` (the bytes are in a backing file that was left out)
   *
   * @example
   * ```ts
   * const sector = new Uint8Array(512);
   * await disk.read(sector, 0);
   * ```
   */
  read(buffer: Uint8Array, offset: number): Promise<void> {
    return this.#engine.read(buffer, offset);
  }

  /**
   * Writes bytes at `offset`. Durable after the next {@link Disk.flush}, or when it resolves if the cache
   * mode is `writethrough` or `directsync`. The caller keeps `bytes`
   * unchanged until the promise settles.
   *
   * @param bytes - what to write
   * @param offset - bytes, `0 <= offset` and `offset + bytes.length <= size`
   * @throws LamellaError as {@link Disk.read}, and `READ_ONLY`, `NO_SPACE`. After a failure the range
   * holds old bytes, new bytes or a mixture; the image stays consistent
   */
  write(bytes: Uint8Array, offset: number): Promise<void> {
    return this.#settled(this.#engine.write(bytes, offset));
  }

  /**
   * Writes whole clusters compressed, several of them at once, in place of what they held. A cluster that
   * does not get smaller is written as it is. Durable after the next {@link Disk.flush}. The caller keeps
   * `bytes` unchanged until the promise settles.
   *
   * @param bytes - whole clusters of the top image (`cluster_size` among the options of its layer); the
   * disk's last cluster may be short
   * @param offset - bytes, a multiple of the cluster size
   * @throws LamellaError as {@link Disk.write}, `UNSUPPORTED` when the top image cannot hold compressed
   * clusters, `INVALID_ARGUMENT` when the range is not of whole clusters
   */
  writeCompressed(bytes: Uint8Array, offset: number): Promise<void> {
    return this.#engine.writeCompressed(bytes, offset);
  }

  /**
   * Makes a range read as zeroes, by metadata where the format can.
   *
   * @param offset - bytes
   * @param length - bytes
   * @param options - whether space may be given back and zeroes be written (both, by default)
   * @throws LamellaError as {@link Disk.write}; `UNSUPPORTED` where zeroes may not be written but would have to
   * be; the beginning of the range may be zeroed then
   */
  writeZeroes(offset: number, length: number, options: ZeroRangeOptions = {}): Promise<void> {
    return this.#settled(this.#engine.writeZeroes(offset, length, options));
  }

  /**
   * Tells that a range's content is no longer needed. Whole clusters inside it are dropped where the
   * format can. Afterwards every byte reads as zero or as before, never as what a backing layer holds.
   *
   * @param offset - bytes
   * @param length - bytes
   * @throws LamellaError as {@link Disk.write}
   */
  discard(offset: number, length: number): Promise<void> {
    return this.#engine.discard(offset, length);
  }

  /**
   * Copies what lower layers hold in a range into the top image, which then no longer needs them there.
   * What the disk shows stays the same; zeroes are not copied. The beginning of the range may be done when
   * it fails.
   *
   * @param offset - bytes
   * @param length - bytes
   * @throws LamellaError as {@link Disk.write}
   */
  copyUp(offset: number, length: number): Promise<void> {
    return this.#settled(this.#engine.copyUp(offset, length));
  }

  /**
   * Has the system copy bytes of another disk into this one, without moving them through this process:
   * file systems that can then share the blocks. Zeroes among them are copied like everything else.
   *
   * @param source - another disk
   * @param sourceOffset - bytes
   * @param offset - bytes
   * @param length - bytes
   * @returns how much was copied. The caller reads and writes the rest: what is compressed or encrypted in
   * either image, not stored at all, or shares a cluster with bytes outside the range
   * @throws LamellaError as {@link Disk.read} and {@link Disk.write}
   */
  async copyFrom(
    source: Disk,
    sourceOffset: number,
    offset: number,
    length: number,
  ): Promise<Copied> {
    const copied = await this.#engine.copyFrom(source.#engine, sourceOffset, offset, length);
    if (copied.length > 0 && this.#layers[0].writeThrough === true) {
      await this.#engine.flush();
    }
    return copied;
  }

  /**
   * Every request that had finished before the call is durable when this resolves: it survives a crash
   * of the process, the system and the power supply, as far as the storage below keeps its promise.
   *
   * @throws LamellaError `IO_ERROR`, `NO_SPACE`, `CLOSED`
   */
  flush(): Promise<void> {
    return this.#engine.flush();
  }

  /**
   * Lists who holds what: runs of bytes in order and without gaps, with the layer that answers.
   *
   * @throws LamellaError `OUT_OF_RANGE`, `INVALID_ARGUMENT`, `CORRUPT`, `ABORTED`
   *
   * @example
   * ```ts
   * for await (const { offset, length, kind, layer } of disk.extents()) {
   *   console.log(offset, length, kind, layer === undefined ? '-' : disk.layers[layer]?.location);
   * }
   * ```
   */
  extents(options: ExtentsOptions = {}): AsyncGenerator<DiskExtent, void, undefined> {
    const offset = options.offset ?? 0;
    return this.#engine.extents(offset, options.length ?? this.size - offset, options.signal);
  }

  /**
   * The disk's bytes as a web stream.
   *
   * @throws LamellaError (as the stream's error) as {@link Disk.read}
   *
   * @example
   * ```ts
   * import { createWriteStream } from 'node:fs';
   * import { Writable } from 'node:stream';
   *
   * await disk.readable().pipeTo(Writable.toWeb(createWriteStream('disk.raw')));
   * ```
   */
  readable(options: StreamOptions = {}): ReadableStream<Uint8Array> {
    return readableOf(this, options);
  }

  /**
   * A web stream whose bytes are written from `options.offset` on; closing it flushes.
   *
   * @throws LamellaError (as the stream's error) as {@link Disk.write}
   */
  writable(options: StreamOptions = {}): WritableStream<Uint8Array> {
    return writableOf(this, options);
  }

  /**
   * Changes the disk's size. New bytes read as zeroes, whatever the backing layer holds there; bytes past a
   * smaller size are gone.
   *
   * @param size - bytes
   * @throws LamellaError `READ_ONLY`, `UNSUPPORTED` (the format or driver cannot), `INVALID_ARGUMENT`,
   * `LIMIT_EXCEEDED`, `NO_SPACE`
   */
  resize(size: number, options: ResizeOptions = {}): Promise<void> {
    return this.#engine.resize(size, options);
  }

  /**
   * Changes options of the top image, as its driver's `amendOptions` list them, while no other request is
   * under way. A name of a backing file is only written down: what is open stays as it is.
   *
   * @param options - only those to change
   * @throws LamellaError `UNSUPPORTED` with the reason when the format cannot, or a feature in use would be
   * lost; `INVALID_ARGUMENT`, `READ_ONLY`, `ABORTED`, `NO_SPACE`
   */
  amend(options: OptionValues, operation: LongOperation = {}): Promise<void> {
    return this.#engine.amend(options, operation);
  }

  /**
   * Looks for damage in the top image and mends it if asked to, while no other request is under way.
   * `Lamella.check` also opens images that are too damaged for use.
   *
   * @returns what was found; damage is no error
   * @throws LamellaError `UNSUPPORTED` for a format that has nothing to check, `READ_ONLY` for a repair,
   * `ABORTED`, `IO_ERROR`
   */
  async check(options: CheckOptions = {}): Promise<CheckResult> {
    const { image } = this.#layers[0];
    const { check } = image;
    if (check === undefined) {
      throw new LamellaError(
        'UNSUPPORTED',
        `images of the format '${this.format}' can't be checked`,
        {
          location: this.location,
          hint: 'There is no metadata in it that could be damaged.',
        },
      );
    }
    return this.#engine.alone(() => check.call(image, options));
  }

  /**
   * Waits for requests under way, flushes, marks the image as cleanly closed and closes the files that
   * this disk opened. Closing twice is no error.
   *
   * @throws LamellaError `IO_ERROR`, `NO_SPACE` when the last flush fails, or when what bitmaps recorded
   * can't be stored; the files are closed all the same
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Same as {@link Disk.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The open layers, for another disk on top of this one. */
  get openLayers(): OpenLayers {
    return this.#all;
  }

  /** A change, made durable if the cache mode wants that of every one: the mapping belongs to it. */
  #settled(change: Promise<void>): Promise<void> {
    return this.#layers[0].writeThrough === true ? change.then(() => this.#engine.flush()) : change;
  }

  get #all(): OpenLayers {
    const [top, ...lower] = this.#layers;
    return [top, ...lower, ...this.#borrowed];
  }

  async #close(): Promise<void> {
    await this.#engine.stop();
    await this.#snapshots.close();
    await closeLayers(this.#layers);
  }
}
