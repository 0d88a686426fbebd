import {
  type Allocation,
  type CheckResult,
  type ClearContext,
  type Extent,
  type Image,
  LamellaError,
  type Placement,
  type References,
  type Storage,
  viewOf,
} from '@lamella/core';
import { dataStart, SECTOR, type SlabHeader } from './slab-driver.js';

const ZERO = 1;
/** Entries from here on are clusters. */
const FIRST = 2;

/** What a {@link SlabImage} is made from. */
export interface SlabParts {
  readonly storage: Storage;
  readonly header: SlabHeader;
  readonly entries: Uint32Array;
  readonly writable: boolean;
}

/** An open slab image. Clusters are never given out twice while it is open, so nothing can be mixed up. */
export class SlabImage implements Image {
  readonly size: number;
  readonly clusterSize: number;
  readonly references: References;
  readonly options: Readonly<Record<string, number>>;
  readonly #parts: SlabParts;
  readonly #start: number;
  readonly #dirty = new Set<number>();
  #next: number;
  #closed = false;
  #flushing: Promise<void> = Promise.resolve();

  constructor(parts: SlabParts) {
    const { header, entries, storage } = parts;
    this.#parts = parts;
    this.size = header.size;
    this.clusterSize = header.clusterSize;
    this.references = header.backing === undefined ? {} : { backing: { location: header.backing } };
    this.options = { cluster_size: header.clusterSize };
    this.#start = dataStart(header);
    const inFile = Math.ceil((storage.size - this.#start) / header.clusterSize);
    this.#next = entries.reduce((most, entry) => Math.max(most, entry - FIRST + 1), inFile);
  }

  map(offset: number, length: number): Extent {
    const { index, within } = this.#locate(offset);
    const inCluster = Math.min(length, this.clusterSize - within);
    const entry = this.#parts.entries[index] ?? 0;
    if (entry < FIRST) {
      return entry === ZERO
        ? { kind: 'zero', length: inCluster, allocated: false }
        : { kind: 'unallocated', length: inCluster };
    }
    const { storage } = this.#parts;
    const host = this.#hostOffset(entry);
    if (host >= storage.size) {
      throw new LamellaError('CORRUPT', 'an entry points behind the end of the file', {
        location: storage.location,
        offset: SECTOR + index * 4,
      });
    }
    return { kind: 'data', length: inCluster, storage, offset: host + within };
  }

  place(offset: number, length: number): Placement {
    const { storage, entries } = this.#parts;
    this.#assertWritable();
    const { index, within } = this.#locate(offset);
    const inCluster = Math.min(length, this.clusterSize - within);
    const entry = entries[index] ?? 0;
    if (entry >= FIRST) {
      const host = this.#hostOffset(entry);
      return { kind: 'in-place', length: inCluster, storage, offset: host + within };
    }
    const cluster = this.#next + FIRST;
    this.#next += 1;
    const allocation: Allocation = {
      kind: 'allocation',
      length: inCluster,
      storage,
      offset: this.#hostOffset(cluster) + within,
      copyBefore: within,
      copyAfter: this.clusterSize - within - inCluster,
      fresh: true,
      commit: () => this.#set(index, cluster),
      abort: () => undefined,
    };
    return allocation;
  }

  zero(offset: number, length: number): number {
    this.#assertWritable();
    const { index } = this.#locate(offset);
    for (let i = 0; i < Math.ceil(length / this.clusterSize); i += 1) {
      this.#set(index + i, ZERO);
    }
    return length;
  }

  discard(offset: number, length: number, _context: ClearContext): void {
    this.zero(offset, length);
  }

  /** Data first, then the table; one flush at a time. */
  flush(): Promise<void> {
    const flushing = this.#flushing.catch(() => undefined).then(() => this.#flush());
    this.#flushing = flushing;
    return flushing;
  }

  async check(): Promise<CheckResult> {
    const { entries, storage } = this.#parts;
    const clusters = [...entries].filter((entry) => entry >= FIRST);
    const twice = clusters.length - new Set(clusters).size;
    const behind = clusters.filter((entry) => this.#hostOffset(entry) >= storage.size).length;
    return {
      corruptions: twice + behind,
      leaks: 0,
      checkErrors: 0,
      corruptionsFixed: 0,
      leaksFixed: 0,
      findings: [],
    };
  }

  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    if (this.#parts.writable) {
      await this.flush();
    }
  }

  #locate(offset: number): { readonly index: number; readonly within: number } {
    const within = offset % this.clusterSize;
    return { index: (offset - within) / this.clusterSize, within };
  }

  #hostOffset(entry: number): number {
    return this.#start + (entry - FIRST) * this.clusterSize;
  }

  #set(index: number, entry: number): void {
    this.#parts.entries[index] = entry;
    this.#dirty.add(index);
  }

  #assertWritable(): void {
    if (!this.#parts.writable) {
      throw new LamellaError('READ_ONLY', 'the image was opened for reading');
    }
  }

  async #flush(): Promise<void> {
    const { storage, entries } = this.#parts;
    const changed = [...this.#dirty];
    const copy = entries.slice();
    this.#dirty.clear();
    try {
      await storage.flush();
      for (const index of changed) {
        const bytes = new Uint8Array(4);
        viewOf(bytes).setUint32(0, copy[index] ?? 0, true);
        await storage.write(bytes, SECTOR + index * 4);
      }
      if (changed.length > 0) {
        await storage.flush();
      }
    } catch (error) {
      for (const index of changed) {
        this.#dirty.add(index);
      }
      throw error;
    }
  }
}
