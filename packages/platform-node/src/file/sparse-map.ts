import type { StorageExtent } from '@lamella/core';
import { ERRNO, SEEK_DATA, SEEK_HOLE } from '../native/constants.js';
import type { NativeCalls } from '../native/native-calls.js';

/** Asks a file where it is sparse. Looks at metadata only, so it is asked on the spot. */
export class SparseMap {
  readonly #fd: number;
  readonly #seek: NonNullable<NativeCalls['seek']>;
  /**
   * Where data began when the hole before it was looked at. Who lists extents asks there next, and then
   * one call is enough; if the file has changed meanwhile, that call tells.
   */
  #dataAt = -1;

  constructor(fd: number, seek: NonNullable<NativeCalls['seek']>) {
    this.#fd = fd;
    this.#seek = seek;
  }

  /**
   * @param offset - within the file
   * @param length - at least 1, and within the file
   */
  at(offset: number, length: number): StorageExtent {
    if (offset === this.#dataAt) {
      const hole = this.#seek(this.#fd, offset, SEEK_HOLE);
      if (hole > offset) {
        return { kind: 'data', length: Math.min(length, hole - offset) };
      }
    }
    const data = this.#seek(this.#fd, offset, SEEK_DATA);
    if (data === -ERRNO.ENXIO) {
      return { kind: 'hole', length };
    }
    if (data > offset) {
      this.#dataAt = data;
      return { kind: 'hole', length: Math.min(length, data - offset) };
    }
    const hole = data < 0 ? data : this.#seek(this.#fd, offset, SEEK_HOLE);
    // Nothing but data can be said for sure when the file system does not answer.
    return { kind: 'data', length: hole > offset ? Math.min(length, hole - offset) : length };
  }
}
