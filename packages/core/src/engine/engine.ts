import { isPromise } from '../bytes/index.js';
import type { LongOperation, OptionValues, ResizeContext, ResizeOptions } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import type { ZeroRangeOptions } from '../storage/index.js';
import { CompressedWriter } from './compressed-writer.js';
import { type DiskExtent, listExtents } from './extents.js';
import { guestOf } from './guest.js';
import type { EngineLayer, LayerStack } from './layers.js';
import { Locator } from './locator.js';
import { Reader } from './reader.js';
import { RequestTracker } from './request-tracker.js';
import { type Copied, type HostRange, NOTHING_COPIED, SystemCopier } from './system-copier.js';
import { Writer } from './writer.js';

/** What is returned by everything that was done at once: no promise is made per request. */
const DONE: Promise<void> = Promise.resolve();

/**
 * Moves guest bytes over a stack of images: checks ranges, keeps requests that would hurt each other
 * apart, and leaves where the bytes are to the images.
 */
export class Engine {
  readonly #top: EngineLayer;
  readonly #stack: LayerStack;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #compressedWriter: CompressedWriter;
  readonly #copier: SystemCopier;
  readonly #locator: Locator;
  readonly #tracker = new RequestTracker();
  readonly #writable: boolean;
  #closed = false;

  /**
   * @param stack - open images, top first
   * @param writable - whether the top image was opened for writing
   */
  constructor(stack: LayerStack, writable: boolean) {
    this.#stack = stack;
    this.#top = stack.layers[0];
    this.#writable = writable;
    this.#reader = new Reader(stack);
    this.#locator = new Locator(stack);
    this.#writer = new Writer(stack, this.#reader, this.#locator, this.#tracker);
    this.#compressedWriter = new CompressedWriter(this.#top, this.#writer);
    this.#copier = new SystemCopier(this.#top, this.#writer);
  }

  /** Whether writes are allowed and the top format takes them. */
  get writable(): boolean {
    return this.#writable && this.#writer.able;
  }

  /**
   * Fills the buffer with guest bytes from `offset`. See `Disk.read`.
   *
   * @throws LamellaError as `Disk.read`
   */
  read(buffer: Uint8Array, offset: number): Promise<void> {
    try {
      this.#checkRange(offset, buffer.length);
      if (buffer.length === 0) {
        return DONE;
      }
      const end = offset + buffer.length;
      if (!this.#tracker.isFree(offset, end)) {
        return this.#readInTurn(buffer, offset);
      }
      const done = this.#reader.read(0, buffer, offset);
      return isPromise(done) ? this.#follow(done, offset, end) : DONE;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Writes guest bytes at `offset`. See `Disk.write`.
   *
   * @throws LamellaError as `Disk.write`
   */
  write(bytes: Uint8Array, offset: number): Promise<void> {
    try {
      this.#checkWritable();
      this.#checkRange(offset, bytes.length);
      return bytes.length === 0 ? DONE : (this.#writer.write(bytes, offset) ?? DONE);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * See `Disk.writeCompressed`.
   *
   * @throws LamellaError as `Disk.writeCompressed`
   */
  async writeCompressed(bytes: Uint8Array, offset: number): Promise<void> {
    this.#checkWritable();
    this.#checkRange(offset, bytes.length);
    await this.#compressedWriter.write(bytes, offset);
  }

  /**
   * See `Disk.writeZeroes`.
   *
   * @throws LamellaError as `Disk.writeZeroes`
   */
  async writeZeroes(offset: number, length: number, options: ZeroRangeOptions): Promise<void> {
    this.#checkWritable();
    this.#checkRange(offset, length);
    if (length > 0) {
      await this.#writer.writeZeroes(offset, length, options);
    }
  }

  /**
   * See `Disk.copyUp`.
   *
   * @throws LamellaError as `Disk.copyUp`
   */
  async copyUp(offset: number, length: number): Promise<void> {
    this.#checkWritable();
    this.#checkRange(offset, length);
    await this.#writer.copyUp(offset, length);
  }

  /**
   * See `Disk.copyFrom`.
   *
   * @throws LamellaError as `Disk.copyFrom`
   */
  async copyFrom(
    source: Engine,
    sourceOffset: number,
    offset: number,
    length: number,
  ): Promise<Copied> {
    this.#checkWritable();
    this.#checkRange(offset, length);
    source.#checkRange(sourceOffset, length);
    // Requests of one disk would wait for each other.
    if (length === 0 || source === this) {
      return NOTHING_COPIED;
    }
    return source.#lend(sourceOffset, length, (range) => this.#copier.copy(range, offset));
  }

  /**
   * See `Disk.discard`.
   *
   * @throws LamellaError as `Disk.discard`
   */
  async discard(offset: number, length: number): Promise<void> {
    this.#checkWritable();
    this.#checkRange(offset, length);
    await this.#writer.discard(offset, length);
  }

  /**
   * See `Disk.flush`.
   *
   * @throws LamellaError as `Disk.flush`
   */
  async flush(): Promise<void> {
    this.#checkOpen();
    if (this.#writable) {
      const { image, storage } = this.#top;
      await (image.flush === undefined ? storage.flush() : image.flush());
    }
  }

  /**
   * See `Disk.extents`.
   *
   * @throws LamellaError as `Disk.extents`
   */
  extents(
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<DiskExtent, void, undefined> {
    this.#checkRange(offset, length);
    return listExtents(this.#stack, this.#locator, offset, offset + length, signal);
  }

  /**
   * See `Disk.resize`. Runs after every request before it and before every request after it.
   *
   * @throws LamellaError as `Disk.resize`
   */
  async resize(size: number, options: ResizeOptions): Promise<void> {
    this.#checkWritable();
    const { image } = this.#top;
    const { resize } = image;
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new LamellaError('INVALID_ARGUMENT', `a disk can't have a size of ${size} bytes`, {
        location: this.#top.storage.location,
      });
    }
    if (resize === undefined) {
      throw new LamellaError('UNSUPPORTED', "images of this format can't be resized", {
        location: this.#top.storage.location,
      });
    }
    await this.alone(async () => {
      const unmap = (options.preallocation ?? 'off') === 'off';
      await this.#resizing(unmap, (context) => resize.call(image, size, options, context));
    });
  }

  /**
   * See `Disk.amend`. Runs alone, as {@link Engine.resize}.
   *
   * @throws LamellaError as `Disk.amend`
   */
  async amend(options: OptionValues, operation: LongOperation): Promise<void> {
    this.#checkWritable();
    const { image, storage } = this.#top;
    const { amend } = image;
    if (amend === undefined) {
      throw new LamellaError('UNSUPPORTED', 'images of this format have no options to amend', {
        location: storage.location,
      });
    }
    await this.alone(() =>
      this.#resizing(true, (context) => amend.call(image, options, operation, context)),
    );
  }

  /** Runs what may change the disk's size: what a layer below holds past the old end was never part of it. */
  async #resizing(
    unmap: boolean,
    change: (context: ResizeContext) => Promise<void>,
  ): Promise<void> {
    const { image } = this.#top;
    const oldSize = image.size;
    const below = this.#stack.layers[1];
    const missing = this.#stack.missing === undefined ? 0 : Number.POSITIVE_INFINITY;
    const backingSize = below?.image.size ?? missing;
    await change({
      backingSize,
      zero: (offset, length, asData = false) =>
        asData
          ? this.#writer.storeZeroes(offset, length)
          : this.#writer.zeroRange(offset, offset + length, true),
    });
    const reach = Math.min(image.size, backingSize);
    if (reach > oldSize) {
      await this.#writer.zeroRange(oldSize, reach, unmap);
    }
  }

  /**
   * Runs something after every request before it and before every request after it.
   *
   * @throws LamellaError `CLOSED`, and what the action throws
   */
  async alone<T>(action: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    const request = this.#tracker.begin(0, Number.POSITIVE_INFINITY, 'exclusive');
    try {
      await this.#tracker.ready(request);
      return await action();
    } finally {
      this.#tracker.end(request);
    }
  }

  /**
   * Takes no more requests and waits for those under way.
   *
   * @throws LamellaError as `Disk.flush`
   */
  async stop(): Promise<void> {
    this.#closed = true;
    await this.#tracker.drain();
  }

  async #readInTurn(buffer: Uint8Array, offset: number): Promise<void> {
    const request = this.#tracker.begin(offset, offset + buffer.length, 'shared');
    try {
      await this.#tracker.ready(request);
      await this.#reader.read(0, buffer, offset);
    } finally {
      this.#tracker.end(request);
    }
  }

  /** Has something done with the place where a prefix of a range is stored as it is, while it stays there. */
  async #lend(
    offset: number,
    length: number,
    action: (range: HostRange) => Promise<Copied>,
  ): Promise<Copied> {
    const request = this.#tracker.begin(offset, offset + length, 'shared');
    try {
      await this.#tracker.ready(request);
      const { extent } = await this.#locator.locate(offset, length);
      return extent.kind === 'data' && extent.cipher === undefined
        ? await action({
            storage: guestOf(extent.storage),
            offset: extent.offset,
            length: extent.length,
          })
        : NOTHING_COPIED;
    } finally {
      this.#tracker.end(request);
    }
  }

  /** Registers a read that could not be done at once, so that its clusters stay until it ends. */
  #follow(done: Promise<void>, start: number, end: number): Promise<void> {
    const request = this.#tracker.begin(start, end, 'shared');
    return done.finally(() => this.#tracker.end(request));
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new LamellaError('CLOSED', 'the disk is closed', {
        location: this.#top.storage.location,
      });
    }
  }

  #checkWritable(): void {
    if (!this.writable) {
      const problem = this.#writable
        ? 'images of this format cannot be written'
        : 'the disk was opened read-only';
      throw new LamellaError('READ_ONLY', problem, {
        location: this.#top.storage.location,
        hint: 'Open it with { writable: true }, or put an overlay on it.',
      });
    }
  }

  #checkRange(offset: number, length: number): void {
    this.#checkOpen();
    if (
      !Number.isSafeInteger(offset) ||
      !Number.isSafeInteger(length) ||
      offset < 0 ||
      length < 0
    ) {
      throw new LamellaError(
        'INVALID_ARGUMENT',
        `offset ${offset} and length ${length} must be whole numbers of bytes, 0 or more`,
        { location: this.#top.storage.location },
      );
    }
    const { size } = this.#top.image;
    if (offset + length > size) {
      throw new LamellaError(
        'OUT_OF_RANGE',
        `${length} bytes from offset ${offset} end past the disk's ${size} bytes`,
        { location: this.#top.storage.location, offset },
      );
    }
  }
}
