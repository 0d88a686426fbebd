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
import { Cleanliness } from './cleanliness.js';
import { ClearRange } from './clear-range.js';
import { dropMappings } from './empty.js';
import { Flusher } from './flusher.js';
import { type Geometry, SECTOR_SIZE } from './geometry.js';
import { checkGrowth } from './growth.js';
import type { QedHeader } from './header.js';
import { encodeField, FEATURE, FIELD } from './header-fields.js';
import { Lookup } from './lookup.js';
import { Mapper } from './mapper.js';
import { NeedCheck } from './need-check.js';
import { ParkingLot } from './parking-lot.js';
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
  /** Opened to be checked, not to be used. */
  readonly forCheck: boolean;
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
  readonly #cleanliness: Cleanliness;
  #references: References;
  #size: number;
  #closing: Promise<void> | undefined;

  /** @internal Made by `QedDriver.open`. */
  constructor({
    storage,
    header,
    writable,
    cacheSize,
    allocation,
    clock,
    forCheck,
  }: QedImageParts) {
    const { geometry, features } = header;
    this.#storage = storage;
    this.#writable = writable;
    this.#geometry = geometry;
    this.#size = header.imageSize;
    this.clusterSize = geometry.clusterSize;
    this.#references = { backing: header.backing };
    const unclean = (features & FEATURE.needCheck) !== 0;
    this.unclean = unclean;
    this.options = {
      cluster_size: geometry.clusterSize,
      table_size: geometry.tableSize,
      ...(unclean && !writable ? { need_check: true } : {}),
    };
    const state = allocation ?? { end: geometry.fileEnd(storage.size), free: [] };
    this.#allocator = new Allocator(storage, geometry.clusterSize, state);
    const tables = new Tables(storage, geometry, this.#allocator, cacheSize);
    this.#tables = tables;
    const mapper = new Mapper(storage, geometry, tables, this.#allocator);
    this.#flusher = new Flusher(storage, geometry, tables.cache);
    this.#needCheck = new NeedCheck(storage, this.#flusher, features);
    const [allocator, flusher, needCheck] = [this.#allocator, this.#flusher, this.#needCheck];
    const trusted = allocation !== undefined;
    const shared = { storage, geometry, tables, mapper, allocator };
    const lot = new ParkingLot({ ...shared, flusher });
    this.#cleanliness = new Cleanliness(
      { allocator, lot, flusher, needCheck, clock, trusted, forCheck },
      () => this.#gate,
    );
    const changed = () => this.#cleanliness.touch();
    this.#gate = new ChangeGate(tables.cache, flusher, needCheck, changed);
    const parts = { ...shared, gate: this.#gate };
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
    const failure = this.#cleanliness.takeFailure();
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
        await this.#cleanliness.settle();
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
        this.#cleanliness.trusted = true;
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
      await this.#cleanliness.settle();
      await this.#needCheck.set();
      this.#allocator.adopt(await dropMappings(this.#storage, this.#geometry, this.#flusher));
      this.#tables.clear();
      this.#cleanliness.trusted = true;
      this.#cleanliness.touch();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#cleanliness.stop();
    if (this.#writable) {
      await this.#cleanliness.finish(this.#size);
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
    if (!this.#cleanliness.trusted) {
      throw uncheckedError(this.#storage.location);
    }
  }

  #assertWritable(): void {
    if (!this.#writable) {
      throw readOnlyError(this.#storage.location);
    }
  }
}
