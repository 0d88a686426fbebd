import type { Storage } from '@lamella/core';
import type { Clearer, ClearRule } from '../write/clearer.js';
import type { DataFileSpace } from './data-file-space.js';

/** What a {@link DataFileClearer} works on. */
export interface DataFileClearerParts {
  readonly clearer: Clearer;
  readonly data: Storage;
  readonly space: DataFileSpace;
  /** Whether the data file has to be the disk as a raw image at all times. */
  readonly raw: boolean;
}

/** Clears clusters of an image with an external data file: in the metadata, and in that file. */
export class DataFileClearer {
  readonly #parts: DataFileClearerParts;

  constructor(parts: DataFileClearerParts) {
    this.#parts = parts;
  }

  /**
   * As {@link Clearer.clear}. What happens in the data file is over when it resolves: the same place of
   * the file may get data right afterwards.
   *
   * @returns bytes done
   * @throws LamellaError as {@link Clearer.clear}
   */
  async clear(offset: number, length: number, rule: ClearRule): Promise<number> {
    const { clearer, data, space, raw } = this.#parts;
    if (raw) {
      const inside = Math.min(length, space.end - offset);
      await data.writeZeroes(offset, inside, { unmap: rule.unmap });
      return clearer.clear(offset, length, rule);
    }
    const before = space.dropped;
    const done = await clearer.clear(offset, length, rule);
    // The mapping on the storage may still say data: zeroes are as good, but not for what shows the layers below.
    if (space.dropped > before && rule.forget !== true) {
      await data.discard(offset, done);
    }
    return done;
  }
}
