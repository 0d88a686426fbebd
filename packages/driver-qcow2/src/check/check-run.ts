import {
  LamellaError,
  type LongOperation,
  type RepairMode,
  type Storage,
  throwIfAborted,
} from '@lamella/core';
import type { Geometry } from '../geometry.js';
import type { Header } from '../header/header.js';
import type { DiskRefcounts } from './disk-refcounts.js';
import { MetadataMap } from './metadata-map.js';
import { MAX_CLUSTERS, ReferenceCounts } from './reference-counts.js';
import type { CheckedSnapshot } from './snapshot-table.js';
import { Tally } from './tally.js';

/** What one pass of a check works on. */
export interface CheckRunParts {
  readonly storage: Storage;
  readonly header: Header;
  readonly geometry: Geometry;
  readonly repair: RepairMode;
  readonly refcounts: DiskRefcounts;
  readonly operation: LongOperation;
}

/** One pass over an image: what its steps share. */
export class CheckRun {
  readonly storage: Storage;
  readonly header: Header;
  readonly geometry: Geometry;
  readonly repair: RepairMode;
  readonly tally = new Tally();
  readonly counts: ReferenceCounts;
  /** Replaced when the refcount structure is rebuilt. */
  refcounts: DiskRefcounts;
  /** Snapshots that the table lists, and bytes that the table takes. */
  snapshots: readonly CheckedSnapshot[] = [];
  snapshotBytes = 0;
  /** Corruptions of the snapshot table, which say nothing of the refcounts. */
  snapshotCorruptions = 0;
  /** Refcounts can't be mended one by one: the whole structure has to be made anew. */
  rebuild = false;
  /** Whether entries that make no sense may be mended while references are counted. */
  mending: boolean;
  /** The last cluster in use. */
  highest = 0;
  readonly #operation: LongOperation;
  #metadata: { readonly map: MetadataMap; readonly refcounts: DiskRefcounts } | undefined;
  #steps = 0;

  /** @throws LamellaError `LIMIT_EXCEEDED` for a file of too many clusters */
  constructor(parts: CheckRunParts) {
    this.storage = parts.storage;
    this.header = parts.header;
    this.geometry = parts.geometry;
    this.repair = parts.repair;
    this.mending = parts.repair === 'all';
    this.refcounts = parts.refcounts;
    this.#operation = parts.operation;
    const clusters = Math.ceil(parts.storage.size / parts.geometry.clusterSize);
    if (clusters > MAX_CLUSTERS) {
      throw new LamellaError(
        'LIMIT_EXCEEDED',
        `the file has ${clusters} clusters; at most ${MAX_CLUSTERS} can be checked`,
        { location: parts.storage.location, hint: 'Convert the image to larger clusters.' },
      );
    }
    this.counts = new ReferenceCounts(clusters, parts.refcounts.max);
  }

  /**
   * Notes a reference to every cluster that a range of the file touches. A range that ends a cluster or
   * more behind the file's end is a corruption and counts nothing; the last cluster may be partial.
   */
  count(offset: number, length: number): void {
    if (length <= 0) {
      return;
    }
    const { clusterSize } = this.geometry;
    if (offset + length - this.storage.size >= clusterSize) {
      this.tally.corruption(
        `${length} bytes in use at byte ${offset} reach behind the end of the file by a cluster or more`,
        offset,
      );
      return;
    }
    const last = Math.floor((offset + length - 1) / clusterSize);
    for (let cluster = Math.floor(offset / clusterSize); cluster <= last; cluster += 1) {
      if (!this.counts.increment(cluster)) {
        const start = cluster * clusterSize;
        this.tally.corruption(
          `the cluster at byte ${start} has more references than a refcount of ${this.geometry.refcountBits} bits holds`,
          start,
        );
      }
    }
  }

  /** Where metadata other than L2 tables lies. Asked for when the snapshots are known. */
  get metadata(): MetadataMap {
    if (this.#metadata?.refcounts !== this.refcounts) {
      this.#metadata = { map: new MetadataMap(this), refcounts: this.refcounts };
    }
    return this.#metadata.map;
  }

  /** Reads a range; what lies behind the end of the file is zeroes, however far. */
  async read(buffer: Uint8Array, offset: number): Promise<void> {
    if (offset < this.storage.size) {
      await this.storage.read(buffer, offset);
    } else {
      buffer.fill(0);
    }
  }

  /**
   * Called between tables. Progress counts tables; how many there are is known by the end only.
   *
   * @throws LamellaError `ABORTED`
   */
  step(): void {
    throwIfAborted(this.#operation.signal, this.storage.location);
    this.#steps += 1;
    if (this.#steps % 64 === 1) {
      this.#operation.onProgress?.({
        done: this.#steps,
        total: Math.max(this.#steps, 2 * this.header.l1Size + this.refcounts.length),
      });
    }
  }
}
