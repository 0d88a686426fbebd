import { readFully, writeFully, writevFully } from './pool-io.js';

/** How bytes get from and to a file: through the page cache of the system, or past it. */
export interface DataPath {
  /**
   * Reads from a position on until the buffer is full or the file ends.
   *
   * @param from - index in the buffer of the first byte wanted
   * @param position - byte offset in the file of that byte
   * @returns index after the last byte read
   * @throws the system's error, with its code
   */
  read(buffer: Uint8Array, from: number, position: number): Promise<number>;

  /**
   * Writes pieces one after the other; the file grows as far as they reach and no further.
   *
   * @param length - bytes of all pieces together
   * @param size - a length that the file has at least
   * @throws the system's error, with its code
   */
  write(
    pieces: readonly Uint8Array[],
    position: number,
    length: number,
    size: number,
  ): Promise<void>;

  /**
   * Carries out a change of a range that is made by other means, apart from writes that would undo it.
   *
   * @throws what the change throws
   */
  alone(offset: number, length: number, change: () => Promise<void>): Promise<void>;

  /**
   * Gives back what belongs to the path itself.
   *
   * @throws the system's error, with its code
   */
  close(): Promise<void>;
}

/** Through the page cache. */
export class CachedPath implements DataPath {
  readonly #fd: number;

  /** @param fd - stays the caller's */
  constructor(fd: number) {
    this.#fd = fd;
  }

  read(buffer: Uint8Array, from: number, position: number): Promise<number> {
    return readFully(this.#fd, buffer, from, position);
  }

  write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    const [first] = pieces;
    return pieces.length === 1 && first !== undefined
      ? writeFully(this.#fd, first, position)
      : writevFully(this.#fd, pieces, position);
  }

  /** The system itself keeps changes of one page apart. */
  alone(_offset: number, _length: number, change: () => Promise<void>): Promise<void> {
    return change();
  }

  async close(): Promise<void> {}
}
