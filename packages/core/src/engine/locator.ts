import type { Extent } from '../driver/index.js';
import { checkedLength } from './contract.js';
import type { LayerStack } from './layers.js';

/** Who answers for a range, and how. */
export interface Located {
  /** Number of the layer that answers, 0 for the top; undefined when none holds the range. */
  readonly layer: number | undefined;
  /** The layer that answers; where none holds the range, the lowest one that reaches there. */
  readonly depth: number;
  /** What it answers. `unallocated` only where no layer holds the range. */
  readonly extent: Extent;
}

/** Walks down a stack of images to the one that holds a range. */
export class Locator {
  readonly #stack: LayerStack;

  constructor(stack: LayerStack) {
    this.#stack = stack;
  }

  /**
   * The layer that answers for a prefix of the range.
   *
   * @param offset - bytes, below the top layer's size
   * @param length - bytes, at least 1
   */
  async locate(offset: number, length: number): Promise<Located> {
    let rest = length;
    let reserved: number | undefined;
    for (const [layer, { image, storage }] of this.#stack.layers.entries()) {
      if (offset >= image.size) {
        const allocated = reserved !== undefined;
        const extent: Extent = { kind: 'zero', length: rest, allocated, offset: reserved };
        return { layer: undefined, depth: layer - 1, extent };
      }
      const asked = Math.min(rest, image.size - offset);
      const extent = await image.map(offset, asked);
      checkedLength(extent.length, asked, storage);
      if (extent.kind !== 'unallocated') {
        return { layer, depth: layer, extent };
      }
      rest = extent.length;
      reserved = extent.offset;
    }
    const depth = this.#stack.layers.length - 1;
    const extent: Extent = { kind: 'unallocated', length: rest, offset: reserved };
    return { layer: undefined, depth, extent };
  }

  /** Whether an unallocated cluster of the top layer at this offset would read as zeroes. */
  zeroBelowTop(offset: number): boolean {
    const below = this.#stack.layers[1];
    return below === undefined ? this.#stack.missing === undefined : offset >= below.image.size;
  }

  /**
   * Whether the guest is known to see zeroes in the whole range, by metadata and holes alone. Bytes
   * past the disk's end count as zeroes.
   */
  async isZero(offset: number, length: number): Promise<boolean> {
    const end = Math.min(offset + length, this.#stack.layers[0].image.size);
    for (let position = offset; position < end; ) {
      const { extent } = await this.locate(position, end - position);
      if (extent.kind === 'compressed') {
        return false;
      }
      if (extent.kind === 'unallocated' && this.#stack.missing !== undefined) {
        return false;
      }
      let known = extent.length;
      if (extent.kind === 'data') {
        if (extent.cipher !== undefined) {
          return false;
        }
        const hole = await extent.storage.map(extent.offset, extent.length);
        if (hole.kind === 'data') {
          return false;
        }
        known = hole.length;
      }
      position += known;
    }
    return true;
  }
}
