import type { Allocation, Awaitable, CachedSlice, Storage } from '@lamella/core';
import { ownedHigh, ownedLow, ZERO_FLAG } from '../mapping/l2-entry.js';
import { ALL_SUBCLUSTERS, subclusterMask } from '../mapping/subclusters.js';
import type { EntryRun, EntryWriter } from './entry-writer.js';

/** Where the bytes of an allocation go. All in bytes. */
export interface WriteRange {
  readonly storage: Storage;
  readonly offset: number;
  readonly length: number;
  readonly copyBefore: number;
  readonly copyAfter: number;
  readonly fresh: boolean;
}

/** What all allocating writes have in common: the entries that change and how they get there. */
export abstract class EntryAllocation implements Allocation {
  readonly kind = 'allocation';
  readonly storage: Storage;
  readonly offset: number;
  readonly length: number;
  readonly copyBefore: number;
  readonly copyAfter: number;
  readonly fresh: boolean;
  protected readonly writer: EntryWriter;
  protected readonly run: EntryRun;

  constructor(writer: EntryWriter, run: EntryRun, range: WriteRange) {
    this.storage = range.storage;
    this.offset = range.offset;
    this.length = range.length;
    this.copyBefore = range.copyBefore;
    this.copyAfter = range.copyAfter;
    this.fresh = range.fresh;
    this.writer = writer;
    this.run = run;
  }

  commit(): Awaitable<void> {
    const slice = this.writer.tables.writable(this.run.l1Index, this.run.sliceIndex);
    if (slice === undefined) {
      return this.#commitSlowly();
    }
    this.#change(slice);
  }

  abstract abort(): void;

  /** Changes one of the run's entries in memory. */
  protected abstract change(slice: CachedSlice, index: number, position: number): void;

  async #commitSlowly(): Promise<void> {
    const { l1Index, sliceIndex } = this.run;
    for (;;) {
      const slice = this.writer.tables.writable(l1Index, sliceIndex);
      if (slice !== undefined) {
        this.#change(slice);
        return;
      }
      await this.writer.tables.prepare(l1Index, sliceIndex);
    }
  }

  #change(slice: CachedSlice): void {
    for (let position = 0; position < this.run.count; position += 1) {
      this.change(slice, this.run.entry + position, position);
    }
    this.writer.tables.cache.markDirty(slice);
  }
}

/** Guest clusters that move to new, contiguous host clusters. */
export class NewClusters extends EntryAllocation {
  readonly #host: number;

  /**
   * @param host - byte offset of the first host cluster
   */
  constructor(writer: EntryWriter, run: EntryRun, range: WriteRange, host: number) {
    super(writer, run, range);
    this.#host = host;
  }

  abort(): void {
    this.writer.giveUp(this.#host, this.run.count * this.writer.geometry.clusterSize);
  }

  protected change(slice: CachedSlice, index: number, position: number): void {
    const { entries, geometry } = this.writer;
    this.writer.drop(slice, index, false);
    const host = this.#host + position * geometry.clusterSize;
    entries.set(slice, index, ownedHigh(host), ownedLow(host));
    if (geometry.extended) {
      const written = this.#writtenSubclusters(position);
      entries.setBitmap(slice, index, (entries.zeroes(slice, index) & ~written) >>> 0, written);
    }
  }

  /** The subclusters of one of the clusters that hold data now, edges included. */
  #writtenSubclusters(position: number): number {
    const { clusterSize, subclusterSize } = this.writer.geometry;
    const start = this.#host + position * clusterSize;
    const from = this.offset - this.copyBefore - start;
    const to = this.offset + this.length + this.copyAfter - start;
    return from <= 0 && to >= clusterSize
      ? ALL_SUBCLUSTERS
      : subclusterMask(
          Math.max(0, from) / subclusterSize,
          Math.ceil(Math.min(clusterSize, to) / subclusterSize) - 1,
        );
  }
}

/** Preallocated zero clusters that get data where they are. */
export class FilledClusters extends EntryAllocation {
  abort(): void {}

  protected change(slice: CachedSlice, index: number): void {
    const { entries } = this.writer;
    const low = (entries.low(slice, index) & ~ZERO_FLAG) >>> 0;
    entries.set(slice, index, entries.high(slice, index), low);
  }
}

/** Subclusters that get data in the host cluster that theirs has already. */
export class FilledSubclusters extends EntryAllocation {
  readonly #mask: number;

  /**
   * @param mask - bits of the subclusters
   */
  constructor(writer: EntryWriter, run: EntryRun, range: WriteRange, mask: number) {
    super(writer, run, range);
    this.#mask = mask;
  }

  abort(): void {}

  protected change(slice: CachedSlice, index: number): void {
    const { entries } = this.writer;
    const zeroes = (entries.zeroes(slice, index) & ~this.#mask) >>> 0;
    const allocated = (entries.allocated(slice, index) | this.#mask) >>> 0;
    entries.setBitmap(slice, index, zeroes, allocated);
  }
}
