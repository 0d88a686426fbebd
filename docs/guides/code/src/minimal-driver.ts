import {
  type BlockDriver,
  type Extent,
  type Image,
  LamellaError,
  type OpenOptions,
  type References,
  type Storage,
} from '@lamella/core';
import { type Header, hasMagic, readHeader, readTable } from './layout.js';

/** Reads shelf images. */
export class MinimalDriver implements BlockDriver {
  readonly format = 'shelf';
  readonly apiVersion = 1;

  probe(head: Uint8Array): number {
    return hasMagic(head) ? 100 : 0;
  }

  async open(storage: Storage, _options: OpenOptions): Promise<Image> {
    const header = await readHeader(storage);
    return new MinimalImage(storage, header, await readTable(storage, header));
  }
}

class MinimalImage implements Image {
  readonly size: number;
  readonly clusterSize: number;
  readonly references: References;
  readonly options: Readonly<Record<string, number>>;
  readonly #storage: Storage;
  readonly #table: Uint32Array;

  constructor(storage: Storage, { size, clusterSize, backing }: Header, table: Uint32Array) {
    this.size = size;
    this.clusterSize = clusterSize;
    this.references = backing === '' ? {} : { backing: { location: backing } };
    this.options = { cluster_size: clusterSize };
    this.#storage = storage;
    this.#table = table;
  }

  map(offset: number, length: number): Extent {
    const within = offset % this.clusterSize;
    const inCluster = Math.min(length, this.clusterSize - within);
    const entry = this.#table[(offset - within) / this.clusterSize] ?? 0;
    if (entry === 0) {
      return { kind: 'unallocated', length: inCluster };
    }
    if (entry === 1) {
      return { kind: 'zero', length: inCluster, allocated: false };
    }
    const storage = this.#storage;
    if (entry * this.clusterSize >= storage.size) {
      throw new LamellaError('CORRUPT', 'an entry points behind the end of the file', {
        location: storage.location,
        hint: 'Restore the image from a backup.',
      });
    }
    return {
      kind: 'data',
      length: inCluster,
      storage,
      offset: entry * this.clusterSize + within,
    };
  }

  /** There is nothing to write back, and the storage is closed by who opened it. */
  async close(): Promise<void> {}
}
