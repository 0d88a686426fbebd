import {
  type Awaitable,
  alignUp,
  type Extent,
  LamellaError,
  type ResizeContext,
  type ResizeOptions,
} from '@lamella/core';
import { cutDataFile, growDataFile } from '../data-file/resize.js';
import type { Header } from '../header/header.js';
import { readHeader } from '../header/parse.js';
import type { ChangingImage } from '../whole-change.js';
import { checkResize, neededL1 } from './check-resize.js';
import { dropEmptyBlocks } from './drop-blocks.js';
import { dropBehindEnd, trimFile } from './drop-space.js';
import { growL1 } from './grow-l1.js';
import { prepareNewSpace } from './new-space.js';

/** An open image as a change of its size sees it. */
export interface ResizableImage extends ChangingImage {
  /** Writes a header with bitmaps that fit it, as `RecordingBitmaps.rewriteHeader`. */
  rewriteHeader(header: Header): Promise<void>;
  /** Lets the disk seem to end elsewhere in its last cluster; as it does, for `undefined`. */
  reachTo(end: number | undefined): void;
  map(offset: number, length: number): Awaitable<Extent>;
  flush(): Promise<void>;
}

/** For an image that stands alone. */
export const NOTHING_BELOW: ResizeContext = {
  backingSize: 0,
  zero: async () => {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      'a disk that ends within a cluster is resized by Disk',
      {
        hint: 'Call Disk.resize, or give a context.',
      },
    );
  },
};

/**
 * Changes the size of a disk. What a layer below would show is hidden, and space reserved, before the new size
 * is durable; what a smaller disk no longer has is dropped afterwards. A growth that fails is undone.
 */
export class Resizer {
  readonly #image: ResizableImage;
  readonly #context: ResizeContext;

  constructor(image: ResizableImage, context: ResizeContext) {
    this.#image = image;
    this.#context = context;
  }

  /** @throws LamellaError as `checkResize`, `ABORTED`, `NO_SPACE`, `CORRUPT`, `IO_ERROR` */
  async resize(size: number, options: ResizeOptions): Promise<void> {
    const { header, geometry, storage } = this.#image.parts();
    checkResize(header, geometry, size, options, storage.location);
    if (size < header.size) {
      await this.#shrink(header.size, size);
    } else if (size > header.size) {
      await this.#grow(header.size, size, options);
    }
  }

  async #grow(from: number, to: number, options: ResizeOptions): Promise<void> {
    const image = this.#image;
    const { backingSize } = this.#context;
    const { data, geometry, header } = image.parts();
    const dataLength = data.size;
    try {
      if (geometry.externalData) {
        await growDataFile(data, from, to, options);
      }
      const takesSpace = (options.preallocation ?? 'off') !== 'off';
      const tail = Math.min(to, alignUp(from, geometry.clusterSize));
      await this.#zeroTail(tail, from, backingSize, takesSpace);
      if (neededL1(to, geometry) > header.l1Size) {
        await image.restructure((parts, now) => growL1(parts, now, to));
      }
      await image.restructure(async (parts) => {
        await prepareNewSpace(parts, { from, to, backingSize }, options);
        // It may also move the refcount table, so the header is read after it.
        await parts.flusher.flush();
        await image.rewriteHeader({ ...(await readHeader(parts.storage)), size: to });
      });
    } catch (error) {
      await this.#undoGrowth(from, dataLength);
      throw error;
    }
    if (geometry.externalData) {
      await cutDataFile(data, to);
    }
  }

  async #shrink(from: number, to: number): Promise<void> {
    const image = this.#image;
    const { data, geometry } = image.parts();
    await image.restructure((_parts, header) => image.rewriteHeader({ ...header, size: to }));
    await image.restructure((parts) => dropBehindEnd(parts, to));
    // QEMU would show these bytes again if it made the disk larger.
    await this.#zeroTail(Math.min(from, alignUp(to, geometry.clusterSize)), to, 0);
    if (geometry.externalData) {
      await cutDataFile(data, to);
    }
    await image.restructure((parts) => dropEmptyBlocks(parts));
    await image.restructure((parts) => trimFile(parts));
  }

  /**
   * Zeroes what the cluster in which the disk ends holds behind that end.
   *
   * @param backingSize - how far a layer below would show through, in bytes
   * @param takesSpace - the zeroes are to have space of their own
   */
  async #zeroTail(
    to: number,
    from: number,
    backingSize: number,
    takesSpace = false,
  ): Promise<void> {
    if (from >= to) {
      return;
    }
    const image = this.#image;
    try {
      image.reachTo(to);
      const { kind } = await image.map(from, to - from);
      if (takesSpace || kind !== 'unallocated' || backingSize > from) {
        await this.#context.zero(from, to - from, takesSpace);
      }
      await image.flush();
    } finally {
      image.reachTo(undefined);
    }
  }

  /** What was prepared behind the end is given back; should that fail, it stays, unseen. */
  async #undoGrowth(from: number, dataLength: number): Promise<void> {
    const image = this.#image;
    const { data, geometry, header } = image.parts();
    if (header.size !== from) {
      return;
    }
    try {
      if (geometry.externalData) {
        await cutDataFile(data, dataLength);
      }
      await image.restructure((parts) => dropBehindEnd(parts, from));
      await image.restructure((parts) => dropEmptyBlocks(parts));
      await image.restructure((parts) => trimFile(parts));
    } catch {
      // The error that made the growth fail says more.
    }
  }
}
