import {
  type Awaitable,
  alignUp,
  type ClearContext,
  type Extent,
  type Image,
  LamellaError,
  type OptionValue,
  type Placement,
  type References,
  type Storage,
  type ZeroContext,
} from '@lamella/core';
import { Allocator, type AllocatorState } from './allocator.js';
import { ChangeGate } from './change-gate.js';
import { ClearRange } from './clear-range.js';
import { Flusher } from './flusher.js';
import { type Geometry, SECTOR_SIZE } from './geometry.js';
import { encodeField, FEATURE, FIELD, type QedHeader } from './header.js';
import { Lookup } from './lookup.js';
import { Mapper } from './mapper.js';
import { NeedCheck } from './need-check.js';
import { Placer } from './placer.js';
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
  /** Which clusters of the file are in use. */
  readonly allocation: AllocatorState;
}

/** An open QED image. Host offsets are those of the image file; data lives nowhere else. */
export class QedImage implements Image {
  readonly clusterSize: number;
  readonly references: References;
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly #storage: Storage;
  readonly #writable: boolean;
  readonly #geometry: Geometry;
  readonly #allocator: Allocator;
  readonly #flusher: Flusher;
  readonly #needCheck: NeedCheck;
  readonly #lookup: Lookup;
  readonly #placer: Placer;
  readonly #clearRange: ClearRange;
  #size: number;
  #closing: Promise<void> | undefined;

  /** @internal Made by `QedDriver.open`. */
  constructor({ storage, header, writable, cacheSize, allocation }: QedImageParts) {
    const { geometry, features } = header;
    this.#storage = storage;
    this.#writable = writable;
    this.#geometry = geometry;
    this.#size = header.imageSize;
    this.clusterSize = geometry.clusterSize;
    this.references = { backing: header.backing };
    const needCheck = (features & FEATURE.needCheck) !== 0;
    this.options = {
      cluster_size: geometry.clusterSize,
      table_size: geometry.tableSize,
      ...(needCheck && !writable ? { need_check: true } : {}),
    };
    this.#allocator = new Allocator(storage, geometry.clusterSize, allocation);
    const tables = new Tables(storage, geometry, this.#allocator, cacheSize);
    const mapper = new Mapper(storage, geometry, tables, this.#allocator);
    this.#flusher = new Flusher(storage, geometry, tables.cache);
    this.#needCheck = new NeedCheck(storage, this.#flusher, features);
    const gate = new ChangeGate(tables.cache, this.#flusher, this.#needCheck);
    const parts = { storage, geometry, tables, mapper, allocator: this.#allocator, gate };
    this.#lookup = new Lookup(storage, geometry, tables);
    this.#placer = new Placer(parts);
    this.#clearRange = new ClearRange(parts);
  }

  get size(): number {
    return this.#size;
  }

  map(offset: number, length: number): Awaitable<Extent> {
    return this.#lookup.map(offset, length);
  }

  place(offset: number, length: number): Awaitable<Placement> {
    this.#assertWritable();
    return this.#placer.place(offset, length);
  }

  async zero(offset: number, length: number, context: ZeroContext): Promise<number> {
    this.#assertWritable();
    return this.#clearRange.zero(offset, length, context);
  }

  async discard(offset: number, length: number, _context: ClearContext): Promise<void> {
    this.#assertWritable();
    await this.#clearRange.discard(offset, length);
  }

  flush(): Promise<void> {
    return this.#flusher.flush();
  }

  /**
   * Makes the disk larger. What the old last cluster holds behind the old end is zeroed; unallocated
   * clusters show the backing layer, as everywhere.
   *
   * @param size - bytes, rounded up to a multiple of 512
   * @throws LamellaError `UNSUPPORTED` for a smaller size, `LIMIT_EXCEEDED` for one that the tables
   * can't describe, `READ_ONLY`, and as `Storage.write`
   */
  async resize(size: number): Promise<void> {
    this.#assertWritable();
    const rounded = alignUp(size, SECTOR_SIZE);
    this.#checkNewSize(rounded);
    await this.#zeroBehindEnd();
    await this.#flusher.flush();
    await this.#storage.write(encodeField(rounded), FIELD.imageSize);
    await this.#flusher.sync();
    this.#size = rounded;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (!this.#writable) {
      return;
    }
    await this.#flusher.flush();
    const trimmed = await this.#allocator.trim();
    if (trimmed) {
      await this.#flusher.sync();
    }
    if (this.#needCheck.written && !this.#flusher.doubtful) {
      await this.#needCheck.clear();
    }
  }

  #checkNewSize(size: number): void {
    const { location } = this.#storage;
    if (size < this.#size) {
      throw new LamellaError('UNSUPPORTED', 'a QED image cannot be made smaller', {
        location,
        hint: 'Convert it to a new image of the size you want.',
      });
    }
    if (size > this.#geometry.maxImageSize || !Number.isSafeInteger(size)) {
      throw new LamellaError('LIMIT_EXCEEDED', `the tables cannot describe ${size} bytes`, {
        location,
        hint: 'Convert the image to a new one with larger clusters or tables.',
      });
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

  #assertWritable(): void {
    if (!this.#writable) {
      throw new LamellaError('READ_ONLY', 'the image was opened read-only', {
        location: this.#storage.location,
        hint: 'Open it with { writable: true }, or put an overlay on it.',
      });
    }
  }
}
