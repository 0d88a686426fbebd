import {
  type Awaitable,
  alignUp,
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
  parseOptions,
  type Reference,
  type ResizeContext,
  type ResizeOptions,
  type ZeroContext,
} from '@lamella/core';
import { amendedHeader } from './amend/amend-header.js';
import { readAmendOptions } from './amend/options.js';
import { planAmendment } from './amend/plan.js';
import { RefcountConverter } from './amend/refcount-converter.js';
import { completeSnapshots, downgraded, upgraded } from './amend/upgrade.js';
import { ZeroExpander } from './amend/zero-expander.js';
import { RecordingBitmaps } from './bitmaps/recording-bitmaps.js';
import { DataFileClearer } from './data-file/data-file-clearer.js';
import { DataFileSpace } from './data-file/data-file-space.js';
import { cutDataFile, growDataFile } from './data-file/resize.js';
import { AMEND_KEY_OPTIONS } from './encryption/luks/amend.js';
import { unsupported } from './errors.js';
import { withBacking } from './header/backing.js';
import type { Header } from './header/header.js';
import { readHeader } from './header/parse.js';
import { rewriteHeader } from './header/rewrite.js';
import { Qcow2Image, readParts } from './image.js';
import { Leftovers } from './refcount/leftovers.js';
import { checkResize } from './resize/check-resize.js';
import { dropEmptyBlocks } from './resize/drop-blocks.js';
import { dropBehindEnd, trimFile } from './resize/drop-space.js';
import { growL1 } from './resize/grow-l1.js';
import { prepareNewSpace } from './resize/new-space.js';
import type { SnapshotHost } from './snapshots/image-snapshots.js';
import { Clearer } from './write/clearer.js';
import { createCompressor } from './write/compressor.js';
import { ClusterPlacer, type Placer } from './write/placer.js';
import { SubclusterPlacer } from './write/subcluster-placer.js';
import { type WriteParts, writeParts } from './write-parts.js';

/** For an image that stands alone. */
const NOTHING_BELOW: ResizeContext = {
  backingSize: 0,
  zero: async () => {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      'a disk that ends within a cluster is resized by Disk',
      {
        hint: 'Call Disk.resize, or give a context.',
      },
    );
  },
};

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

  /**
   * Changes what `AMEND_OPTIONS` lists. All refusals come before any change; then each step leaves an
   * image that is whole, with the same content.
   *
   * @throws LamellaError as `readAmendOptions`, `planAmendment`, {@link WritableQcow2Image.resize} and the keys'
   * `amendKeys`; `ABORTED`, `NO_SPACE`, `CORRUPT`, `IO_ERROR`
   */
  async amend(
    options: OptionValues,
    operation: LongOperation = {},
    context: ResizeContext = NOTHING_BELOW,
  ): Promise<void> {
    const { storage, header, geometry } = this.#view.parts;
    const request = readAmendOptions(options, storage.location);
    const plan = await planAmendment(storage, header, request);
    const { size } = request;
    if (size !== undefined) {
      const version = plan.version === 3 ? 3 : header.version;
      checkResize({ ...header, version }, geometry, size, {}, storage.location);
    }
    if (request.keys !== undefined) {
      await this.#amendKeys(request.keys);
    }
    if (plan.version > header.version) {
      await this.#restructure(completeSnapshots);
      await this.#restructure((parts, now) => rewriteHeader(parts.storage, upgraded(now)));
    }
    await this.#restructure((parts, now) =>
      rewriteHeader(parts.storage, amendedHeader(now, request, plan)),
    );
    if (plan.refcountOrder !== header.refcountOrder) {
      await this.#restructure((parts) =>
        new RefcountConverter(parts, plan.refcountOrder, operation).convert(),
      );
    }
    if (size !== undefined) {
      await this.resize(size, operation, context);
    }
    if (plan.version < header.version) {
      await this.#restructure((parts, now) => new ZeroExpander(parts, now, operation).expand());
      await this.#restructure((parts, now) => rewriteHeader(parts.storage, downgraded(now)));
    }
  }

  async #amendKeys(options: OptionValues): Promise<void> {
    const { encryption, storage } = this.#view.parts;
    const values = parseOptions(AMEND_KEY_OPTIONS, options, 'amending a qcow2 image');
    if (encryption === undefined) {
      throw unsupported(
        storage.location,
        'the image is not encrypted',
        'It has no keys to change.',
      );
    }
    await encryption.amend(values, storage);
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

  /**
   * Changes the size of the disk. What a layer below would show is hidden, and space reserved, before the new
   * size is durable; what a smaller disk no longer has is dropped afterwards. A growth that fails is undone.
   *
   * @throws LamellaError as `checkResize`, `ABORTED`, `NO_SPACE`, `CORRUPT`, `IO_ERROR`
   */
  async resize(
    size: number,
    options: ResizeOptions = {},
    context: ResizeContext = NOTHING_BELOW,
  ): Promise<void> {
    const { header, geometry, storage } = this.#view.parts;
    checkResize(header, geometry, size, options, storage.location);
    if (size < header.size) {
      await this.#shrink(size, context);
    } else if (size > header.size) {
      await this.#grow(size, options, context);
    }
  }

  async #grow(size: number, options: ResizeOptions, context: ResizeContext): Promise<void> {
    const { backingSize } = context;
    const from = this.size;
    const { data, geometry } = this.#view.parts;
    const dataLength = data.size;
    try {
      if (geometry.externalData) {
        await growDataFile(data, from, size, options);
      }
      await this.#zeroTail(Math.min(size, alignUp(from, this.clusterSize)), from, context);
      await this.#restructure((parts, header) => growL1(parts, header, size));
      await this.#restructure((parts) =>
        prepareNewSpace(parts, { from, to: size, backingSize }, options),
      );
      await this.#restructure((_parts, header) => this.#bitmaps.rewriteHeader({ ...header, size }));
    } catch (error) {
      await this.#undoGrowth(from, dataLength);
      throw error;
    }
    if (geometry.externalData) {
      await cutDataFile(data, size);
    }
  }

  async #shrink(size: number, context: ResizeContext): Promise<void> {
    const from = this.size;
    await this.#restructure((_parts, header) => this.#bitmaps.rewriteHeader({ ...header, size }));
    await this.#restructure((parts) => dropBehindEnd(parts, size));
    // QEMU would show these bytes again if it made the disk larger.
    await this.#zeroTail(Math.min(from, alignUp(size, this.clusterSize)), size, {
      ...context,
      backingSize: 0,
    });
    const { data, geometry } = this.#view.parts;
    if (geometry.externalData) {
      await cutDataFile(data, size);
    }
    await this.#restructure((parts) => dropEmptyBlocks(parts));
    await this.#restructure((parts) => trimFile(parts));
  }

  /** Zeroes what the cluster in which the disk ends holds behind that end. */
  async #zeroTail(to: number, from: number, context: ResizeContext): Promise<void> {
    if (from >= to) {
      return;
    }
    try {
      this.reachTo(to);
      if ((await this.map(from, to - from)).kind !== 'unallocated' || context.backingSize > from) {
        await context.zero(from, to - from);
      }
      await this.flush();
    } finally {
      this.reachTo(undefined);
    }
  }

  /** What was prepared behind the end is given back; should that fail, it stays, unseen. */
  async #undoGrowth(from: number, dataLength: number): Promise<void> {
    const { data, geometry } = this.#view.parts;
    if (this.size === from) {
      try {
        if (geometry.externalData) {
          await cutDataFile(data, dataLength);
        }
        await this.#restructure((parts) => dropBehindEnd(parts, from));
        await this.#restructure((parts) => dropEmptyBlocks(parts));
        await this.#restructure((parts) => trimFile(parts));
      } catch {
        // The error that made the growth fail says more.
      }
    }
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

  protected override get snapshotHost(): SnapshotHost {
    return { ...super.snapshotHost, restructure: (change) => this.#restructure(change) };
  }

  /**
   * Changes the image as a whole, while no request is under way: `change` finds everything flushed, changes
   * the storage itself or by way of the parts, and leaves it consistent even if it fails. Whatever it did,
   * the image goes on with what the storage holds then; header, tables, caches, free space and bitmaps are
   * read anew. Bitmaps are stored before, and what `change` leaves behind is freed last. Who changes the
   * disk's size or data writes the header by `RecordingBitmaps.rewriteHeader`.
   */
  async #restructure(
    change: (parts: WriteParts, header: Header, leftovers: Leftovers) => Promise<void>,
  ): Promise<void> {
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

/** What answers while an image's metadata stays the same. */
class WriteView {
  readonly parts: WriteParts;
  readonly compressor: ClusterCompressor | undefined;
  readonly placer: Placer;
  readonly clearer: Clearer | DataFileClearer;

  constructor(parts: WriteParts) {
    const { writer, data, geometry, encryption, space } = parts;
    this.parts = parts;
    // Compressed clusters are never ciphered, and the guest's data would lie in the open.
    this.compressor = encryption === undefined ? createCompressor(parts) : undefined;
    this.placer = geometry.extended
      ? new SubclusterPlacer({ writer, data })
      : new ClusterPlacer({ writer, data });
    const clearer = new Clearer(writer, parts.pressure);
    this.clearer =
      space instanceof DataFileSpace
        ? new DataFileClearer({ clearer, data, space, raw: geometry.rawData })
        : clearer;
  }
}
