import {
  type Awaitable,
  type Extent,
  type Image,
  type ImageDetails,
  isPromise,
  LamellaError,
  type References,
  type Storage,
} from '@lamella/core';
import type { BlockMap, BlockRun } from './block-map.js';
import type { VdiHeader } from './header.js';

/** An open VDI image. It says where bytes live; the engine reads them. */
export class VdiImage implements Image {
  readonly size: number;
  readonly clusterSize: number;
  readonly references: References = {};
  readonly options: Readonly<Record<string, boolean>>;
  readonly details: ImageDetails;
  readonly #storage: Storage;
  readonly #header: VdiHeader;
  readonly #map: BlockMap;

  constructor(storage: Storage, header: VdiHeader, map: BlockMap) {
    this.#storage = storage;
    this.#header = header;
    this.#map = map;
    this.size = header.size;
    this.clusterSize = header.blockSize;
    this.options = { static: header.type === 'static' };
    this.details = {
      type: header.type,
      uuid: header.identity,
      'stored-blocks': header.storedBlocks,
      ...(header.description === '' ? {} : { description: header.description }),
    };
  }

  // #region map
  map(offset: number, length: number): Awaitable<Extent> {
    const { blockSize } = this.#header;
    const within = offset % blockSize;
    const block = (offset - within) / blockSize;
    const run = this.#map.lookUp(block, Math.ceil((within + length) / blockSize));
    return isPromise(run)
      ? run.then((found) => this.#extent(block, within, length, found))
      : this.#extent(block, within, length, run);
  }
  // #endregion map

  /** There is nothing to write back, and who opened the storage closes it. */
  async close(): Promise<void> {}

  /** Blocks are stored whole: one that the file does not hold to its end is damage, not zeroes. */
  #extent(block: number, within: number, asked: number, { stored, count }: BlockRun): Extent {
    const { blockSize, dataOffset, type } = this.#header;
    if (stored === undefined) {
      const length = Math.min(asked, count * blockSize - within);
      return { kind: 'zero', length, allocated: false };
    }
    const present = Math.floor((this.#storage.size - dataOffset) / blockSize);
    if (stored >= present) {
      throw new LamellaError('CORRUPT', `block ${block} lies behind the end of the file`, {
        location: this.#storage.location,
        offset: this.#map.entryOffset(block),
      });
    }
    return {
      kind: 'data',
      length: Math.min(asked, Math.min(count, present - stored) * blockSize - within),
      storage: this.#storage,
      offset: dataOffset + stored * blockSize + within,
      sparse: type === 'static',
    };
  }
}
