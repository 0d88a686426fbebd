import type { Awaitable, CachedSlice, Placement, Storage } from '@lamella/core';
import { alignDown, alignUp, isPromise } from '@lamella/core';
import type { Geometry } from '../geometry.js';
import { type GuestPosition, locate } from '../mapping/guest-position.js';
import { COPIED, hostOffset, KIND } from '../mapping/l2-entry.js';
import {
  ALL_SUBCLUSTERS,
  highestSubcluster,
  lowestSubcluster,
  runLength,
  subclusterMask,
} from '../mapping/subclusters.js';
import type { AllocatedRun } from '../refcount/allocator.js';
import { FilledSubclusters, NewClusters } from './allocations.js';
import { type EntryWriter, entryRun } from './entry-writer.js';
import type { Placer, PlacerParts } from './placer.js';

/** Decides where writes go in images with extended L2 entries. */
export class SubclusterPlacer implements Placer {
  readonly #writer: EntryWriter;
  readonly #data: Storage;
  readonly #geometry: Geometry;

  constructor(parts: PlacerParts) {
    this.#writer = parts.writer;
    this.#data = parts.data;
    this.#geometry = parts.writer.geometry;
  }

  place(offset: number, length: number): Awaitable<Placement> {
    const at = locate(this.#geometry, offset);
    if (this.#writer.tables.offset(at.l1Index) === 0) {
      return this.#allocate(undefined, at, offset, length);
    }
    const slice = this.#writer.tables.cached(at.l1Index, at.sliceIndex);
    if (slice === undefined) {
      return this.#placeSlowly(at, offset, length);
    }
    return this.#isOwned(slice, at, at.entry)
      ? this.#placeInOwned(slice, at, offset, length)
      : this.#allocate(slice, at, offset, length);
  }

  #placeSlowly(at: GuestPosition, offset: number, length: number): Awaitable<Placement> {
    const slice = this.#writer.tables.load(at.l1Index, at.sliceIndex);
    return isPromise(slice)
      ? slice.then(() => this.place(offset, length))
      : this.place(offset, length);
  }

  /** Whether the cluster has a host cluster that nothing else refers to. */
  #isOwned(slice: CachedSlice, at: GuestPosition, index: number): boolean {
    const { entries, tables } = this.#writer;
    const kind = entries.kind(slice, index);
    if (kind === KIND.invalid) {
      throw entries.invalid(slice, index);
    }
    return (
      (kind === KIND.data || kind === KIND.preallocated) &&
      tables.isOwned(at.l1Index) &&
      (entries.high(slice, index) & COPIED) !== 0
    );
  }

  #host(slice: CachedSlice, index: number): number {
    const { entries } = this.#writer;
    return hostOffset(entries.high(slice, index), entries.low(slice, index));
  }

  #placeInOwned(slice: CachedSlice, at: GuestPosition, guest: number, length: number): Placement {
    const { subclusterSize, externalData } = this.#geometry;
    const first = Math.floor(at.inCluster / subclusterSize);
    const allocated = this.#writer.entries.allocated(slice, at.entry);
    const host = this.#host(slice, at.entry);
    const offset = host + at.inCluster;
    if (externalData && offset !== guest) {
      throw this.#writer.entries.misplaced(slice, at.entry);
    }
    if (((allocated >>> first) & 1) === 1) {
      const bytes = Math.min(length, this.#allocatedReach(slice, at, length));
      return { kind: 'in-place', length: bytes, storage: this.#data, offset };
    }
    const run = runLength(~allocated >>> 0, first);
    const bytes = Math.min(length, (first + run) * subclusterSize - at.inCluster);
    const end = alignUp(at.inCluster + bytes, subclusterSize);
    const filled = Math.min(end, this.#writer.space.end - host);
    const range = {
      storage: this.#data,
      offset,
      length: bytes,
      copyBefore: at.inCluster - first * subclusterSize,
      copyAfter: Math.max(0, filled - at.inCluster - bytes),
      fresh: false,
    };
    const mask = subclusterMask(first, end / subclusterSize - 1);
    return new FilledSubclusters(this.#writer, entryRun(at, 1), range, mask);
  }

  /** Bytes from the position on that are allocated and contiguous on the host. */
  #allocatedReach(slice: CachedSlice, at: GuestPosition, length: number): number {
    const { clusterSize, subclusterSize, sliceEntries } = this.#geometry;
    const { entries } = this.#writer;
    const first = Math.floor(at.inCluster / subclusterSize);
    const host = this.#host(slice, at.entry);
    if (host >= this.#data.size && !this.#geometry.externalData) {
      throw entries.outside(slice, at.entry);
    }
    let end = (first + runLength(entries.allocated(slice, at.entry), first)) * subclusterSize;
    for (
      let next = 1;
      end === next * clusterSize && end - at.inCluster < length && at.entry + next < sliceEntries;
      next += 1
    ) {
      const index = at.entry + next;
      if (
        !this.#isOwned(slice, at, index) ||
        this.#host(slice, index) !== host + next * clusterSize
      ) {
        break;
      }
      end += runLength(entries.allocated(slice, index), 0) * subclusterSize;
    }
    return end - at.inCluster;
  }

  #allocate(
    slice: CachedSlice | undefined,
    at: GuestPosition,
    guest: number,
    length: number,
  ): Awaitable<Placement> {
    const { clusterSize, sliceEntries } = this.#geometry;
    const reach = Math.ceil((at.inCluster + length) / clusterSize);
    const most = Math.min(reach, sliceEntries - at.entry);
    let count = 1;
    while (count < most && (slice === undefined || !this.#isOwned(slice, at, at.entry + count))) {
      count += 1;
    }
    const inUse = Array.from({ length: count }, (_, i) =>
      slice === undefined ? 0 : this.#subclustersInUse(slice, at.entry + i),
    );
    const run = this.#writer.space.allocate(guest - at.inCluster, count);
    return isPromise(run)
      ? run.then((allocated) => this.#newClusters(at, length, allocated, inUse))
      : this.#newClusters(at, length, run, inUse);
  }

  /** Subclusters whose content must come along when the cluster moves. */
  #subclustersInUse(slice: CachedSlice, index: number): number {
    const { entries } = this.#writer;
    return entries.kind(slice, index) === KIND.compressed
      ? ALL_SUBCLUSTERS
      : entries.allocated(slice, index);
  }

  #newClusters(
    at: GuestPosition,
    length: number,
    run: AllocatedRun,
    inUse: readonly number[],
  ): Placement {
    const { clusterSize, subclusterSize } = this.#geometry;
    const bytes = Math.min(length, run.count * clusterSize - at.inCluster);
    const end = at.inCluster + bytes;
    const lastCluster = (run.count - 1) * clusterSize;
    const firstUsed = lowestSubcluster(inUse[0] ?? 0) * subclusterSize;
    const lastUsed = (highestSubcluster(inUse[run.count - 1] ?? 0) + 1) * subclusterSize;
    const copyFrom = Math.min(alignDown(at.inCluster, subclusterSize), firstUsed);
    const copyTo = Math.min(
      Math.max(alignUp(end, subclusterSize), lastCluster + lastUsed),
      this.#writer.space.end - run.offset,
    );
    const range = {
      storage: this.#data,
      offset: run.offset + at.inCluster,
      length: bytes,
      copyBefore: at.inCluster - copyFrom,
      copyAfter: Math.max(0, copyTo - end),
      fresh: run.fresh,
    };
    return new NewClusters(this.#writer, entryRun(at, run.count), range, run.offset);
  }
}
