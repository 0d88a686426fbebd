import {
  type Awaitable,
  type CachedSlice,
  type Extent,
  isPromise,
  type Storage,
  type TableCache,
} from '@lamella/core';
import type { CompressedClusters } from '../compression/compressed-clusters.js';
import { compressedRange } from '../compression/descriptor.js';
import { type Geometry, SUBCLUSTERS } from '../geometry.js';
import type { PointerTable } from '../tables/pointer-table.js';
import type { L2Entries } from './l2-entries.js';
import { hasHost, hostOffset, KIND, type Kind } from './l2-entry.js';
import { runLength } from './subclusters.js';

/** What a {@link Mapper} reads from. */
export interface MapperParts {
  readonly geometry: Geometry;
  readonly l1: PointerTable;
  readonly l2Cache: TableCache;
  readonly entries: L2Entries;
  readonly compressed: CompressedClusters;
  /** Where guest clusters are: the image file, or an external data file. */
  readonly data: Storage;
}

/** Answers where guest ranges live. */
export class Mapper {
  readonly #geometry: Geometry;
  readonly #l1: PointerTable;
  readonly #cache: TableCache;
  readonly #entries: L2Entries;
  readonly #compressed: CompressedClusters;
  readonly #data: Storage;
  readonly #clusterBits: number;

  constructor(parts: MapperParts) {
    this.#geometry = parts.geometry;
    this.#l1 = parts.l1;
    this.#cache = parts.l2Cache;
    this.#entries = parts.entries;
    this.#compressed = parts.compressed;
    this.#data = parts.data;
    this.#clusterBits = Math.log2(parts.geometry.clusterSize);
  }

  /**
   * Where a guest range lives; a plain value if the L2 slice is cached.
   *
   * @throws LamellaError `CORRUPT`, `UNSUPPORTED`, `IO_ERROR`
   */
  map(offset: number, length: number): Awaitable<Extent> {
    const { l2Span, sliceSpan, sliceSize, clusterSize } = this.#geometry;
    const l1Index = Math.floor(offset / l2Span);
    const table = this.#l1.get(l1Index);
    if (table <= 0) {
      return this.#withoutTable(l1Index, offset, length);
    }
    const inTable = offset - l1Index * l2Span;
    const sliceIndex = Math.floor(inTable / sliceSpan);
    const slice = this.#cache.get(table + sliceIndex * sliceSize);
    if (slice === undefined) {
      return this.#mapSlowly(table + sliceIndex * sliceSize, offset, length);
    }
    const inSlice = inTable - sliceIndex * sliceSpan;
    const entry = Math.floor(inSlice / clusterSize);
    const inCluster = inSlice - entry * clusterSize;
    return this.#geometry.extended
      ? this.#extendedExtent(slice, entry, offset, inCluster, length)
      : this.#extent(slice, entry, offset, inCluster, length);
  }

  #mapSlowly(sliceOffset: number, offset: number, length: number): Awaitable<Extent> {
    const slice = this.#cache.load(sliceOffset);
    return isPromise(slice) ? slice.then(() => this.map(offset, length)) : this.map(offset, length);
  }

  #withoutTable(l1Index: number, offset: number, length: number): Extent {
    const { l2Span } = this.#geometry;
    let index = l1Index;
    let end = index * l2Span;
    while (end < offset + length && this.#l1.get(index) === 0) {
      index += 1;
      end = index * l2Span;
    }
    if (index === l1Index) {
      throw this.#l1.invalid(l1Index);
    }
    return { kind: 'unallocated', length: Math.min(length, end - offset) };
  }

  #extent(
    slice: CachedSlice,
    entry: number,
    offset: number,
    inCluster: number,
    length: number,
  ): Extent {
    const high = this.#entries.high(slice, entry);
    const low = this.#entries.low(slice, entry);
    const kind = this.#entries.kind(slice, entry);
    const { clusterSize } = this.#geometry;
    let reach = clusterSize - inCluster;
    if (kind === KIND.compressed) {
      return this.#compressedExtent(slice, entry, inCluster, Math.min(reach, length));
    }
    if (reach < length) {
      reach += this.#following(slice, entry, kind, length - reach) * clusterSize;
    }
    reach = Math.min(reach, length);
    switch (kind) {
      case KIND.data: {
        const host = hostOffset(high, low);
        this.#assertHost(slice, entry, host, offset - inCluster);
        return { kind: 'data', length: reach, storage: this.#data, offset: host + inCluster };
      }
      case KIND.unallocated:
        return { kind: 'unallocated', length: reach };
      case KIND.zero:
        return { kind: 'zero', length: reach, allocated: false };
      case KIND.preallocated: {
        const host = hostOffset(high, low);
        return { kind: 'zero', length: reach, allocated: true, offset: host + inCluster };
      }
      default:
        throw this.#entries.invalid(slice, entry);
    }
  }

  /** Number of entries behind `entry` that continue it, as far as `wanted` bytes reach. */
  #following(slice: CachedSlice, entry: number, kind: Kind, wanted: number): number {
    const { clusterSize, sliceEntries } = this.#geometry;
    const last = Math.min(sliceEntries - 1, entry + Math.ceil(wanted / clusterSize));
    const contiguous = kind === KIND.data || kind === KIND.preallocated;
    let host = hostOffset(this.#entries.high(slice, entry), this.#entries.low(slice, entry));
    let index = entry + 1;
    for (; index <= last && this.#entries.kind(slice, index) === kind; index += 1) {
      if (contiguous) {
        const high = this.#entries.high(slice, index);
        const next = hostOffset(high, this.#entries.low(slice, index));
        if (next !== host + clusterSize || next >= this.#end) {
          break;
        }
        host = next;
      }
    }
    return index - entry - 1;
  }

  #compressedExtent(slice: CachedSlice, entry: number, inCluster: number, length: number): Extent {
    const high = this.#entries.high(slice, entry);
    const range = compressedRange(high, this.#entries.low(slice, entry), this.#clusterBits);
    if (range.offset >= this.#data.size) {
      throw this.#entries.outside(slice, entry);
    }
    return this.#compressed.extent(range, inCluster, length);
  }

  #extendedExtent(
    slice: CachedSlice,
    entry: number,
    offset: number,
    inCluster: number,
    length: number,
  ): Extent {
    const kind = this.#entries.kind(slice, entry);
    const { clusterSize, subclusterSize, sliceEntries } = this.#geometry;
    if (kind === KIND.invalid) {
      throw this.#entries.invalid(slice, entry);
    }
    if (kind === KIND.compressed) {
      const reach = Math.min(clusterSize - inCluster, length);
      return this.#compressedExtent(slice, entry, inCluster, reach);
    }
    const first = Math.floor(inCluster / subclusterSize);
    const status = this.#status(slice, entry, first);
    const host = this.#host(slice, entry);
    if (status === 'data' && host !== undefined) {
      this.#assertHost(slice, entry, host, offset - inCluster);
    }
    let run = runLength(this.#mask(slice, entry, status), first);
    let reach = (first + run) * subclusterSize - inCluster;
    for (
      let next = entry + 1;
      reach < length && (next - entry) * SUBCLUSTERS === first + run && next < sliceEntries;
      next += 1
    ) {
      const expected = host === undefined ? undefined : host + (next - entry) * clusterSize;
      if (!this.#continues(slice, next, status, expected)) {
        break;
      }
      const more = runLength(this.#mask(slice, next, status), 0);
      run += more;
      reach += more * subclusterSize;
    }
    return this.#subclusterExtent(status, host, inCluster, Math.min(reach, length));
  }

  #continues(
    slice: CachedSlice,
    entry: number,
    status: SubclusterStatus,
    host: number | undefined,
  ): boolean {
    const kind = this.#entries.kind(slice, entry);
    if (kind === KIND.invalid || kind === KIND.compressed) {
      return false;
    }
    const own = this.#host(slice, entry);
    return own === host && (status !== 'data' || (own ?? 0) < this.#end);
  }

  #status(slice: CachedSlice, entry: number, subcluster: number): SubclusterStatus {
    if (((this.#entries.allocated(slice, entry) >>> subcluster) & 1) === 1) {
      return 'data';
    }
    return ((this.#entries.zeroes(slice, entry) >>> subcluster) & 1) === 1 ? 'zero' : 'unallocated';
  }

  #mask(slice: CachedSlice, entry: number, status: SubclusterStatus): number {
    const allocated = this.#entries.allocated(slice, entry);
    if (status === 'data') {
      return allocated;
    }
    const zeroes = this.#entries.zeroes(slice, entry);
    return status === 'zero' ? zeroes : ~(allocated | zeroes) >>> 0;
  }

  #subclusterExtent(
    status: SubclusterStatus,
    host: number | undefined,
    inCluster: number,
    length: number,
  ): Extent {
    if (status === 'unallocated') {
      const offset = host === undefined ? undefined : host + inCluster;
      return { kind: 'unallocated', length, offset };
    }
    if (status === 'zero') {
      return host === undefined
        ? { kind: 'zero', length, allocated: false }
        : { kind: 'zero', length, allocated: true, offset: host + inCluster };
    }
    return { kind: 'data', length, storage: this.#data, offset: (host ?? 0) + inCluster };
  }

  /** The host cluster of a valid entry, if it has one. */
  #host(slice: CachedSlice, entry: number): number | undefined {
    const high = this.#entries.high(slice, entry);
    const low = this.#entries.low(slice, entry);
    return hasHost(high, low) ? hostOffset(high, low) : undefined;
  }

  /** Where data must not be: an external data file may be shorter than the disk, and reads as zeroes then. */
  get #end(): number {
    return this.#geometry.externalData ? Number.POSITIVE_INFINITY : this.#data.size;
  }

  /**
   * @param guest - guest offset of the cluster
   * @throws LamellaError `CORRUPT` for a host cluster that can't be where it is said to be
   */
  #assertHost(slice: CachedSlice, entry: number, host: number, guest: number): void {
    if (this.#geometry.externalData && host !== guest) {
      throw this.#entries.misplaced(slice, entry);
    }
    if (host >= this.#end) {
      throw this.#entries.outside(slice, entry);
    }
  }
}

type SubclusterStatus = 'data' | 'zero' | 'unallocated';
