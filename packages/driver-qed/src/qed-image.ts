import {
  type Awaitable,
  alignUp,
  type CheckOptions,
  type CheckResult,
  type ClearContext,
  type Clock,
  type Extent,
  type Image,
  type OptionValue,
  type Placement,
  type Reference,
  type References,
  type ResizeOptions,
  type Storage,
  type ZeroContext,
} from '@lamella/core';
import { Allocator, type AllocatorState } from './allocator.js';
import { writeBacking } from './backing.js';
import { ChangeGate } from './change-gate.js';
import { checkImage } from './check.js';
import { ClearRange } from './clear-range.js';
import { Flusher } from './flusher.js';
import { type Geometry, SECTOR_SIZE } from './geometry.js';
import { checkGrowth } from './growth.js';
import type { QedHeader } from './header.js';
import { encodeField, FEATURE, FIELD } from './header-fields.js';
import { IDLE_PERIOD, IdleCleaner } from './idle-cleaner.js';
import { Lookup } from './lookup.js';
import { Mapper } from './mapper.js';
import { NeedCheck } from './need-check.js';
import { Placer } from './placer.js';
import { readOnlyError, uncheckedError } from './refusals.js';
import { Tables } from './tables.js';

/** What a {@link QedImage} is made from. */
export interface QedImageParts {
  /** Holds the image; stays the caller's to close. */
  readonly storage: Storage;
  /** The validated header. */
  readonly header: QedHeader;
  /** Whether writes will be made. */
  readonly writable: boolean;
  /** Most bytes of tables to hold in memory. */
  readonly cacheSize: number;
  /** Which clusters of the file are in use; undefined while only a check can tell. */
  readonly allocation: AllocatorState | undefined;
  /** Tells when nothing has changed for a while. */
  readonly clock: Clock;
}

/** An open QED image. Data lives in the image file alone. */
export class QedImage implements Image {
  readonly clusterSize: number;
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly #storage: Storage;
  readonly #writable: boolean;
  readonly #geometry: Geometry;
  readonly #allocator: Allocator;
  readonly unclean: boolean;
  readonly #flusher: Flusher;
  readonly #needCheck: NeedCheck;
  readonly #lookup: Lookup;
  readonly #placer: Placer;
  readonly #clearRange: ClearRange;
  readonly #gate: ChangeGate;
  readonly #tables: Tables;
  readonly #cleaner: IdleCleaner;
  #references: References;
  #size: number;
  /** The tables were found to be in order, or nothing says that they are not. */
  #trusted: boolean;
  #closing: Promise<void> | undefined;

  /** @internal Made by `QedDriver.open`. */
  constructor({ storage, header, writable, cacheSize, allocation, clock }: QedImageParts) {
    const { geometry, features } = header;
    this.#storage = storage;
    this.#writable = writable;
    this.#geometry = geometry;
    this.#size = header.imageSize;
    this.clusterSize = geometry.clusterSize;
    this.#references = { backing: header.backing };
    this.#trusted = allocation !== undefined;
    const needCheck = (features & FEATURE.needCheck) !== 0;
    this.unclean = needCheck;
    this.options = {
      cluster_size: geometry.clusterSize,
      table_size: geometry.tableSize,
      ...(needCheck && !writable ? { need_check: true } : {}),
    };
    const state = allocation ?? { end: geometry.fileEnd(storage.size), free: [] };
    this.#allocator = new Allocator(storage, geometry.clusterSize, state);
    const tables = new Tables(storage, geometry, this.#allocator, cacheSize);
    this.#tables = tables;
    const mapper = new Mapper(storage, geometry, tables, this.#allocator);
    this.#flusher = new Flusher(storage, geometry, tables.cache);
    this.#needCheck = new NeedCheck(storage, this.#flusher, features);
    this.#cleaner = new IdleCleaner(clock, IDLE_PERIOD, () => this.#markClean());
    const changed = () => this.#cleaner.touch();
    this.#gate = new ChangeGate(tables.cache, this.#flusher, this.#needCheck, changed);
    const [allocator, gate] = [this.#allocator, this.#gate];
    const parts = { storage, geometry, tables, mapper, allocator, gate };
    this.#lookup = new Lookup(storage, geometry, tables);
    this.#placer = new Placer(parts);
    this.#clearRange = new ClearRange(parts);
  }

  get size(): number {
    return this.#size;
  }

  get references(): References {
    return this.#references;
  }

  map(offset: number, length: number): Awaitable<Extent> {
    return this.#lookup.map(offset, length);
  }

  place(offset: number, length: number): Awaitable<Placement> {
    this.#assertWritable();
    this.#assertTrusted();
    return this.#placer.place(offset, length);
  }

  async zero(offset: number, length: number, context: ZeroContext): Promise<number> {
    this.#assertWritable();
    this.#assertTrusted();
    return this.#clearRange.zero(offset, length, context);
  }

  async discard(offset: number, length: number, _context: ClearContext): Promise<void> {
    this.#assertWritable();
    await this.#clearRange.discard(offset, length);
  }

  flush(): Promise<void> {
    const failure = this.#cleaner.takeFailure();
    return failure === undefined ? this.#flusher.flush() : Promise.reject(failure.error);
  }

  /**
   * Makes the disk larger. What the old last cluster holds behind the old end is zeroed; unallocated
   * clusters show the backing layer, as everywhere.
   *
   * @param size - bytes, rounded up to a multiple of 512
   * @throws LamellaError `UNSUPPORTED` for a smaller size, `LIMIT_EXCEEDED` for one that the tables
   * can't describe, `INVALID_ARGUMENT` for a preallocation, `READ_ONLY`, and as `Storage.write`
   */
  async resize(size: number, options: ResizeOptions = {}): Promise<void> {
    this.#assertWritable();
    const rounded = alignUp(size, SECTOR_SIZE);
    checkGrowth(this.#storage.location, this.#geometry, this.#size, rounded, options);
    await this.#zeroBehindEnd();
    await this.#flusher.flush();
    await this.#storage.write(encodeField(rounded), FIELD.imageSize);
    await this.#flusher.sync();
    this.#size = rounded;
  }

  /**
   * Looks for damage and mends it, with the verdicts of `qemu-img check`: entries that point where nothing
   * can be are cleared, clusters in use twice and leaks are only reported. On an
   * image that is open for writing, clusters found leaked are given out again before the file grows.
   *
   * @throws LamellaError `READ_ONLY` for a repair, `LIMIT_EXCEEDED`, `ABORTED`, and as `Storage.read`
   */
  async check(options: CheckOptions): Promise<CheckResult> {
    if ((options.repair ?? 'none') !== 'none') {
      this.#assertWritable();
    }
    return this.#gate.closedFor(async () => {
      if (this.#writable) {
        await this.#settle();
      }
      const storage = this.#storage;
      // Entries are cleared behind the cache, by a check that is aborted, too.
      const { result, allocation } = await checkImage(
        storage,
        this.#geometry,
        this.#size,
        options,
      ).finally(() => this.#tables.clear());
      if (allocation !== undefined) {
        this.#allocator.adopt(allocation);
        this.#trusted = true;
      }
      return result;
    });
  }

  /**
   * Names another backing file, or none. The format is recorded for `raw` only: QED has no room for
   * other names.
   *
   * @throws LamellaError `READ_ONLY`, `INVALID_ARGUMENT`, `LIMIT_EXCEEDED` for a name of more than 1023
   * bytes, and as `Storage.write`
   */
  async setBacking(backing: Reference | undefined): Promise<void> {
    this.#assertWritable();
    await this.#gate.closedFor(async () => {
      const features = await writeBacking(this.#storage, this.#needCheck.features, backing);
      this.#needCheck.adopt(features);
      const format = backing?.format === 'raw' ? 'raw' : undefined;
      this.#references = {
        backing: backing === undefined ? undefined : { location: backing.location, format },
      };
    });
  }

  /**
   * Drops all data: everything shows the backing layer afterwards, and the file is cut behind the L1
   * table. A crash in between leaves some of the data.
   *
   * @throws LamellaError `READ_ONLY`, and as `Storage.write`
   */
  async makeEmpty(): Promise<void> {
    this.#assertWritable();
    await this.#gate.closedFor(async () => {
      const { l1Offset, tableBytes, headerEnd, clusterSize } = this.#geometry;
      await this.#settle();
      await this.#needCheck.set();
      await this.#storage.writeZeroes(l1Offset, tableBytes);
      await this.#flusher.sync();
      const end = l1Offset + tableBytes;
      await this.#storage.truncate(end);
      this.#tables.clear();
      const before = { offset: headerEnd, count: (l1Offset - headerEnd) / clusterSize };
      this.#allocator.adopt({ end, free: before.count > 0 ? [before] : [] });
      this.#trusted = true;
      this.#cleaner.touch();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#cleaner.stop();
    if (this.#writable) {
      await this.#settle();
      await this.#clearMark();
      this.#cleaner.throwFailure();
    }
  }

  /** After a while without changes: whether the image is marked as clean, or never can be. */
  async #markClean(): Promise<boolean> {
    if (this.#gate.busy) {
      return false;
    }
    return this.#gate.closedFor(async () => {
      if (this.#gate.busy) {
        return false;
      }
      await this.#settle();
      await this.#clearMark();
      return true;
    });
  }

  /** Everything committed is durable and the file ends with its last cluster. */
  async #settle(): Promise<void> {
    await this.#flusher.flush();
    if (await this.#allocator.trim()) {
      await this.#flusher.sync();
    }
  }

  async #clearMark(): Promise<void> {
    if (this.#needCheck.written && this.#trusted && !this.#flusher.doubtful) {
      await this.#needCheck.clear();
    }
  }

  /** The disk's end may cut a cluster; what its writer left behind the end is unknown. */
  async #zeroBehindEnd(): Promise<void> {
    const used = this.#size % this.clusterSize;
    if (used === 0) {
      return;
    }
    const last = await this.map(this.#size - used, used);
    if (last.kind === 'data') {
      await this.#storage.writeZeroes(last.offset + used, this.clusterSize - used);
    }
  }

  #assertTrusted(): void {
    if (!this.#trusted) {
      throw uncheckedError(this.#storage.location);
    }
  }

  #assertWritable(): void {
    if (!this.#writable) {
      throw readOnlyError(this.#storage.location);
    }
  }
}
