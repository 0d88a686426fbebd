import {
  type Awaitable,
  type BitmapStore,
  type CheckOptions,
  type CheckResult,
  type ClearContext,
  type ClusterCompressor,
  type Extent,
  isPromise,
  LamellaError,
  type LongOperation,
  type OptionValues,
  type Placement,
  type Reference,
  type ResizeContext,
  type ResizeOptions,
  type SnapshotStore,
  type ZeroContext,
} from '@lamella/core';
import { amendImage } from './amend/amend-image.js';
import { RecordingBitmaps } from './bitmaps/recording-bitmaps.js';
import { unsupported } from './errors.js';
import { withBacking } from './header/backing.js';
import { readHeader } from './header/parse.js';
import { rewriteHeader } from './header/rewrite.js';
import { Qcow2Image, readParts } from './image.js';
import { Leftovers } from './refcount/leftovers.js';
import { NOTHING_BELOW, type ResizableImage, Resizer } from './resize/resizer.js';
import { type ChangingSnapshotHost, ChangingSnapshots } from './snapshots/changing-snapshots.js';
import type { WholeChange } from './whole-change.js';
import { type WriteParts, writeParts } from './write-parts.js';
import { WriteView } from './write-view.js';

/** An image that is open for reading and writing. */
export class WritableQcow2Image extends Qcow2Image {
  #view: WriteView;
  readonly #bitmaps: RecordingBitmaps;
  readonly #compressor: ClusterCompressor = {
    compress: (bytes) => this.#view.compressor?.compress(bytes),
    store: (compressed, offset) => this.#storeCompressed(compressed, offset),
  };
  #closed = false;
  /** Why the image can't be used any more: it was changed as a whole and could not be read anew. */
  #lost: LamellaError | undefined;

  constructor(parts: WriteParts) {
    super(parts);
    this.#bitmaps = new RecordingBitmaps(parts);
    this.#view = new WriteView(parts);
  }

  get compressor(): ClusterCompressor | undefined {
    return this.#view.compressor === undefined ? undefined : this.#compressor;
  }

  override get snapshots(): SnapshotStore | undefined {
    return new ChangingSnapshots(() => this.snapshotHost);
  }

  override get bitmaps(): BitmapStore {
    return this.#bitmaps;
  }

  override map(offset: number, length: number): Awaitable<Extent> {
    this.#assertNotLost();
    return super.map(offset, length);
  }

  place(offset: number, length: number): Awaitable<Placement> {
    this.#assertNotLost();
    const recorded = this.#records ? this.#bitmaps.record(offset, length) : undefined;
    return recorded === undefined
      ? this.#place(offset, length)
      : recorded.then(() => this.#place(offset, length));
  }

  /** Bitmaps do not reach behind the disk's end. */
  get #records(): boolean {
    return this.#bitmaps.records && !this.reaching;
  }

  #place(offset: number, length: number): Awaitable<Placement> {
    const { parts, placer } = this.#view;
    const { guard, pressure, encryption } = parts;
    if (guard.refuses) {
      return guard.refuse();
    }
    try {
      const placement = pressure.high
        ? this.#placeAfterRelief(offset, length)
        : placer.place(offset, length);
      const admitted = isPromise(placement)
        ? placement.then(
            (placed) => guard.admitPlacement(placed),
            (error: unknown) => guard.condemn(error),
          )
        : guard.admitPlacement(placement);
      return encryption === undefined ? admitted : encryption.place(admitted, offset);
    } catch (error) {
      return guard.condemn(error);
    }
  }

  async #placeAfterRelief(offset: number, length: number): Promise<Placement> {
    await this.#view.parts.pressure.relieve();
    return this.#view.placer.place(offset, length);
  }

  zero(offset: number, length: number, context: ZeroContext): Awaitable<number> {
    this.#assertNotLost();
    const recorded = this.#records ? this.#bitmaps.record(offset, length) : undefined;
    return recorded === undefined
      ? this.#zero(offset, length, context)
      : recorded.then(() => this.#zero(offset, length, context));
  }

  #zero(offset: number, length: number, context: ZeroContext): Awaitable<number> {
    const { parts, clearer } = this.#view;
    return parts.guard.refuses ? parts.guard.refuse() : clearer.clear(offset, length, context);
  }

  async discard(offset: number, length: number, context: ClearContext): Promise<void> {
    this.#assertNotLost();
    const { parts, clearer } = this.#view;
    if (parts.guard.refuses) {
      await parts.guard.refuse();
    }
    if (this.#bitmaps.records) {
      await this.#bitmaps.record(offset, length);
    }
    await clearer.clear(offset, length, { zeroBelow: context.zeroBelow, unmap: true });
  }

  async #storeCompressed(compressed: Uint8Array, offset: number): Promise<void> {
    this.#assertNotLost();
    if (this.#bitmaps.records) {
      await this.#bitmaps.record(offset, Math.min(this.clusterSize, this.size - offset));
    }
    await this.#view.compressor?.store(compressed, offset);
  }

  /** @throws LamellaError as {@link amendImage} */
  amend(
    options: OptionValues,
    operation: LongOperation = {},
    context: ResizeContext = NOTHING_BELOW,
  ): Promise<void> {
    return amendImage(this.#resizable, options, operation, context);
  }

  async flush(): Promise<void> {
    this.#assertNotLost();
    await this.#view.parts.flusher.flush();
  }

  override async check(options: CheckOptions): Promise<CheckResult> {
    const { repair = 'none' } = options;
    if (repair !== 'none') {
      throw new LamellaError('UNSUPPORTED', 'an image that is in use cannot be repaired', {
        location: this.#view.parts.storage.location,
        hint: 'Close it and open it for a check.',
      });
    }
    await this.flush();
    return super.check(options);
  }

  /** Bitmaps record nothing: what the disk shows stays the same. */
  async makeEmpty(): Promise<void> {
    if (this.size > 0) {
      const whole = { zeroBelow: true, unmap: true, forget: true };
      await this.#view.clearer.clear(0, this.size, whole);
    }
    await this.flush();
    const { data, geometry } = this.#view.parts;
    if (geometry.externalData && this.size > 0) {
      await data.discard(0, this.size);
    }
  }

  async setBacking(backing: Reference | undefined): Promise<void> {
    const { geometry, storage } = this.#view.parts;
    if (geometry.rawData && backing !== undefined) {
      throw unsupported(
        storage.location,
        'its data file has to be the whole disk, so the image can have no backing file',
        'Turn data_file_raw off first.',
      );
    }
    await this.#restructure((_parts, header) =>
      rewriteHeader(storage, withBacking(header, backing)),
    );
  }

  /** @throws LamellaError as {@link Resizer.resize} */
  resize(
    size: number,
    options: ResizeOptions = {},
    context: ResizeContext = NOTHING_BELOW,
  ): Promise<void> {
    return new Resizer(this.#resizable, context).resize(size, options);
  }

  get #resizable(): ResizableImage {
    return {
      parts: () => this.#view.parts,
      restructure: (change) => this.#restructure(change),
      rewriteHeader: (header) => this.#bitmaps.rewriteHeader(header),
      reachTo: (end) => this.reachTo(end),
      map: (offset, length) => this.map(offset, length),
      flush: () => this.flush(),
    };
  }

  override async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    // Whatever an image that was lost has in memory belongs to a state that is gone.
    const failed = this.#lost === undefined ? await this.#storeAll(this.#view.parts) : undefined;
    this.#closed = true;
    await super.close();
    if (failed !== undefined) {
      throw failed.error;
    }
  }

  /** Stores metadata and bitmaps for the last time; the error if it was the bitmaps that could not be. */
  async #storeAll({ flusher, storage }: WriteParts): Promise<{ error: unknown } | undefined> {
    await flusher.flush();
    const failed = await this.#bitmaps.store().then(
      () => undefined,
      async (error: unknown) => {
        // The clusters that were set aside for them are given back, if that can be done.
        await flusher.flush().catch(() => undefined);
        return { error };
      },
    );
    if (flusher.lowered) {
      await storage.flush();
    }
    return failed;
  }

  protected override get snapshotHost(): ChangingSnapshotHost {
    return { ...super.snapshotHost, restructure: (change) => this.#restructure(change) };
  }

  /**
   * Changes the image as a whole, while no request is under way: `change` finds everything flushed, changes
   * the storage itself or by way of the parts, and leaves it consistent even if it fails. Whatever it did,
   * the image goes on with what the storage holds then; header, tables, caches, free space and bitmaps are
   * read anew. Bitmaps are stored before, and what `change` leaves behind is freed last. Who changes the
   * disk's size or data writes the header by `RecordingBitmaps.rewriteHeader`.
   */
  async #restructure(change: WholeChange): Promise<void> {
    this.#assertNotLost();
    const { parts } = this.#view;
    if (parts.guard.refuses) {
      await parts.guard.refuse();
    }
    await parts.flusher.flush();
    const leftovers = new Leftovers();
    await this.#bitmaps.whileStored(async () => {
      try {
        await change(parts, await readHeader(parts.storage), leftovers);
        await parts.flusher.flush();
      } finally {
        await this.#renew(parts);
      }
    });
    await leftovers.free(this.#view.parts);
  }

  /** Reads everything anew. An image that can't be is not used on: its metadata in memory may be obsolete. */
  async #renew({ storage, setup }: WriteParts): Promise<void> {
    try {
      const header = await readHeader(storage);
      const renewed = await writeParts(await readParts({ ...setup, header }));
      this.adopt(renewed);
      this.#view = new WriteView(renewed);
      this.#bitmaps.adopt(renewed);
    } catch (cause) {
      this.#lost = new LamellaError('IO_ERROR', 'the image could not be read after a change', {
        location: storage.location,
        hint: 'Close it and open it again.',
        cause,
      });
      throw this.#lost;
    }
  }

  #assertNotLost(): void {
    if (this.#lost !== undefined) {
      throw this.#lost;
    }
  }
}
