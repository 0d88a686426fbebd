import {
  alignDown,
  type ClearContext,
  type Extent,
  type Image,
  MemoryStorage,
  type Placement,
  type References,
  type Storage,
} from '@lamella/core';

/** Where a cluster of the toy is: a host cluster number, or zeroes. */
type Entry = number | 'zero';

/**
 * The smallest image that allocates: a map from guest clusters to host clusters, in memory. Counts
 * allocations and notices contract violations that a real format would turn into lost data.
 */
export class ToyImage implements Image {
  readonly references: References;
  readonly options = {};
  readonly entries = new Map<number, Entry>();
  readonly storage: Storage;
  allocated = 0;
  committed = 0;
  aborted = 0;
  closed = 0;
  #next = 0;
  readonly #placing = new Set<number>();

  constructor(
    readonly size: number,
    readonly clusterSize: number,
    storage: Storage = new MemoryStorage(),
    references: References = {},
  ) {
    this.storage = storage;
    this.references = references;
  }

  map(offset: number, length: number): Extent {
    const start = alignDown(offset, this.clusterSize);
    const within = offset - start;
    const inCluster = Math.min(length, this.clusterSize - within);
    const entry = this.entries.get(start / this.clusterSize);
    if (entry === undefined) {
      return { kind: 'unallocated', length: inCluster };
    }
    return entry === 'zero'
      ? { kind: 'zero', length: inCluster, allocated: false }
      : {
          kind: 'data',
          length: inCluster,
          storage: this.storage,
          offset: entry * this.clusterSize + within,
        };
  }

  place(offset: number, length: number): Placement {
    const start = alignDown(offset, this.clusterSize);
    const cluster = start / this.clusterSize;
    const before = offset - start;
    const inCluster = Math.min(length, this.clusterSize - before);
    const entry = this.entries.get(cluster);
    if (typeof entry === 'number') {
      return {
        kind: 'in-place',
        length: inCluster,
        storage: this.storage,
        offset: entry * this.clusterSize + before,
      };
    }
    if (this.#placing.has(cluster)) {
      throw new Error(`cluster ${cluster} is being allocated twice`);
    }
    this.#placing.add(cluster);
    const host = this.#next;
    this.#next += 1;
    this.allocated += 1;
    return {
      kind: 'allocation',
      length: inCluster,
      storage: this.storage,
      offset: host * this.clusterSize + before,
      copyBefore: before,
      copyAfter: this.clusterSize - before - inCluster,
      fresh: true,
      commit: () => {
        this.#placing.delete(cluster);
        this.committed += 1;
        this.entries.set(cluster, host);
      },
      abort: () => {
        this.#placing.delete(cluster);
        this.aborted += 1;
      },
    };
  }

  zero(offset: number, length: number): number {
    this.#setZero(offset, length);
    return length;
  }

  discard(offset: number, length: number, _context: ClearContext): void {
    this.#setZero(offset, length);
  }

  async close(): Promise<void> {
    this.closed += 1;
  }

  #setZero(offset: number, length: number): void {
    for (let position = offset; position < offset + length; position += this.clusterSize) {
      this.entries.set(position / this.clusterSize, 'zero');
    }
  }
}
