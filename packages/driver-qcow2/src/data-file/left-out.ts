import { LamellaError, type Storage, type StorageExtent } from '@lamella/core';

/**
 * Stands for a data file that was not opened: everything about the image can be looked at, but the guest's
 * data can't.
 */
export class LeftOutDataFile implements Storage {
  readonly location: string;
  readonly writable = false;
  readonly size = 0;
  readonly #namedBy: string;

  /**
   * @param location - what the image names, for messages
   * @param namedBy - location of the image
   */
  constructor(location: string, namedBy: string) {
    this.location = location;
    this.#namedBy = namedBy;
  }

  read(_buffer: Uint8Array, offset: number): never {
    throw this.#denied(offset);
  }

  write(_bytes: Uint8Array, offset: number): never {
    throw this.#denied(offset);
  }

  writev(_pieces: readonly Uint8Array[], offset: number): never {
    throw this.#denied(offset);
  }

  writeZeroes(offset: number): never {
    throw this.#denied(offset);
  }

  discard(offset: number): never {
    throw this.#denied(offset);
  }

  truncate(size: number): never {
    throw this.#denied(size);
  }

  map(_offset: number, length: number): StorageExtent {
    return { kind: 'data', length };
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}

  #denied(offset: number): LamellaError {
    return new LamellaError(
      'REFERENCE_DENIED',
      `this range is held by the data file '${this.location}', which was not opened`,
      {
        location: this.#namedBy,
        offset,
        hint: "Open with references: 'follow' (or { within: [...] }), or give the file as `dataFile`.",
      },
    );
  }
}
