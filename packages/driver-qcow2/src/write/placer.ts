import type { Awaitable, CachedSlice, Placement, Storage } from '@lamella/core';
import { isPromise } from '@lamella/core';
import { type GuestPosition, locate } from '../mapping/guest-position.js';
import { COPIED, hostOffset, KIND } from '../mapping/l2-entry.js';
import type { AllocatedRun } from '../refcount/allocator.js';
import { FilledClusters, NewClusters } from './allocations.js';
import { type EntryWriter, entryRun } from './entry-writer.js';

/** What a placer works on. */
export interface PlacerParts {
  readonly writer: EntryWriter;
  /** Where guest clusters are. */
  readonly data: Storage;
}

/** Decides where writes go. */
export interface Placer {
  /**
   * Where the first bytes of a write go; a plain value if all metadata is cached.
   *
   * @throws LamellaError `CORRUPT`, `NO_SPACE`, `LIMIT_EXCEEDED`, `IO_ERROR`
   */
  place(offset: number, length: number): Awaitable<Placement>;
}

/** Decides where writes go in images with standard L2 entries. */
export class ClusterPlacer implements Placer {
  readonly #writer: EntryWriter;
  readonly #data: Storage;
  readonly #clusterSize: number;
  readonly #sliceEntries: number;

  constructor(parts: PlacerParts) {
    this.#writer = parts.writer;
    this.#data = parts.data;
    this.#clusterSize = parts.writer.geometry.clusterSize;
    this.#sliceEntries = parts.writer.geometry.sliceEntries;
  }

  place(offset: number, length: number): Awaitable<Placement> {
    const at = locate(this.#writer.geometry, offset);
    const reach = Math.ceil((at.inCluster + length) / this.#clusterSize);
    const most = Math.min(reach, this.#sliceEntries - at.entry);
    if (this.#writer.tables.offset(at.l1Index) === 0) {
      return this.#allocate(at, offset, length, most);
    }
    const slice = this.#writer.tables.cached(at.l1Index, at.sliceIndex);
    return slice === undefined
      ? this.#placeSlowly(at, offset, length)
      : this.#placeIn(slice, at, offset, length, most);
  }

  #placeSlowly(at: GuestPosition, offset: number, length: number): Awaitable<Placement> {
    const slice = this.#writer.tables.load(at.l1Index, at.sliceIndex);
    return isPromise(slice)
      ? slice.then(() => this.place(offset, length))
      : this.place(offset, length);
  }

  #placeIn(
    slice: CachedSlice,
    at: GuestPosition,
    guest: number,
    length: number,
    most: number,
  ): Awaitable<Placement> {
    const treatment = this.#treatment(slice, at, at.entry);
    if (treatment === 'allocate') {
      let count = 1;
      while (count < most && this.#treatment(slice, at, at.entry + count) === treatment) {
        count += 1;
      }
      return this.#allocate(at, guest, length, count);
    }
    const host = this.#host(slice, at.entry);
    if (this.#writer.geometry.externalData && host !== guest - at.inCluster) {
      throw this.#writer.entries.misplaced(slice, at.entry);
    }
    let count = 1;
    while (
      count < most &&
      this.#host(slice, at.entry + count) === host + count * this.#clusterSize &&
      this.#treatment(slice, at, at.entry + count) === treatment
    ) {
      count += 1;
    }
    const bytes = Math.min(length, count * this.#clusterSize - at.inCluster);
    const offset = host + at.inCluster;
    if (treatment === 'in-place') {
      return { kind: 'in-place', length: bytes, storage: this.#data, offset };
    }
    const range = this.#range(at, bytes, count, { offset: host, count, fresh: false });
    return new FilledClusters(this.#writer, entryRun(at, count), range);
  }

  #host(slice: CachedSlice, index: number): number {
    const { entries } = this.#writer;
    return hostOffset(entries.high(slice, index), entries.low(slice, index));
  }

  #treatment(
    slice: CachedSlice,
    at: GuestPosition,
    index: number,
  ): 'allocate' | 'in-place' | 'fill' {
    const { entries, tables, geometry } = this.#writer;
    const kind = entries.kind(slice, index);
    if (kind === KIND.invalid) {
      throw entries.invalid(slice, index);
    }
    const owned = tables.isOwned(at.l1Index) && (entries.high(slice, index) & COPIED) !== 0;
    if (owned && (kind === KIND.data || kind === KIND.preallocated)) {
      const end = geometry.externalData ? Number.POSITIVE_INFINITY : this.#data.size;
      if (this.#host(slice, index) >= end && kind === KIND.data) {
        throw entries.outside(slice, index);
      }
      return kind === KIND.data ? 'in-place' : 'fill';
    }
    return 'allocate';
  }

  #allocate(at: GuestPosition, guest: number, length: number, count: number): Awaitable<Placement> {
    const run = this.#writer.space.allocate(guest - at.inCluster, count);
    return isPromise(run)
      ? run.then((allocated) => this.#newClusters(at, length, allocated))
      : this.#newClusters(at, length, run);
  }

  #newClusters(at: GuestPosition, length: number, run: AllocatedRun): Placement {
    const bytes = Math.min(length, run.count * this.#clusterSize - at.inCluster);
    const range = this.#range(at, bytes, run.count, run);
    return new NewClusters(this.#writer, entryRun(at, run.count), range, run.offset);
  }

  #range(at: GuestPosition, length: number, count: number, run: AllocatedRun) {
    const end = Math.min(run.offset + count * this.#clusterSize, this.#writer.space.end);
    const offset = run.offset + at.inCluster;
    return {
      storage: this.#data,
      offset,
      length,
      copyBefore: at.inCluster,
      copyAfter: Math.max(0, end - offset - length),
      fresh: run.fresh,
    };
  }
}
