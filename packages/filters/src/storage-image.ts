import type { Extent, Image, OptionValue, References, Storage } from '@lamella/core';

/** A storage as a disk for reading, byte for byte; holes show. */
export class StorageImage implements Image {
  readonly clusterSize = 1;
  readonly references: References = {};
  /** What the filter shows of itself among the layers of a disk. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Where the bytes are. */
  protected readonly storage: Storage;

  constructor(storage: Storage, options: Readonly<Record<string, OptionValue>> = {}) {
    this.storage = storage;
    this.options = options;
  }

  get size(): number {
    return this.storage.size;
  }

  map(offset: number, length: number): Extent {
    return { kind: 'data', length, storage: this.storage, offset, sparse: true };
  }

  async close(): Promise<void> {}
}
