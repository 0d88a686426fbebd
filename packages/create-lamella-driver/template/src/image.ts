import type { Extent, Image, References, Storage } from '@lamella/core';
import type { Layout } from './header.js';

/** An open __FORMAT__ image. It answers where bytes live; the engine of Lamella reads them. */
export class __CLASS__Image implements Image {
  readonly size: number;
  readonly clusterSize: number;
  readonly references: References = {};
  readonly options: Readonly<Record<string, number>>;
  readonly #storage: Storage;
  readonly #layout: Layout;

  /** @internal Made by `__CLASS__Driver.open`. */
  constructor(storage: Storage, layout: Layout) {
    this.#storage = storage;
    this.#layout = layout;
    this.size = layout.table.length * layout.blockSize;
    this.clusterSize = layout.blockSize;
    this.options = { block_size: layout.blockSize };
  }

  map(offset: number, length: number): Extent {
    const { blockSize, table, dataOffset } = this.#layout;
    const within = offset % blockSize;
    const inBlock = Math.min(length, blockSize - within);
    const entry = table[(offset - within) / blockSize] ?? 0;
    if (entry === 0) {
      return { kind: 'zero', length: inBlock, allocated: false };
    }
    const position = dataOffset + (entry - 1) * blockSize + within;
    return { kind: 'data', length: inBlock, storage: this.#storage, offset: position };
  }

  /** There is nothing to write back. Who opened the storage closes it. */
  async close(): Promise<void> {}
}
