import {
  type Awaitable,
  guestOf,
  LamellaError,
  PROBE_LENGTH,
  type Storage,
  type StorageExtent,
  type WriteZeroesOptions,
} from '@lamella/core';

/**
 * The head of a raw image whose format was only guessed. A guest may write what it likes into its disk;
 * if it wrote the header of another format, the next guess would be that format, with whatever backing
 * file the guest put there. So a write after which the head would be recognised as another format is
 * refused.
 *
 * Changes of the head wait for each other, since two that are harmless alone may together be a header.
 */
export class GuardedHead implements Storage {
  readonly location: string;
  readonly identity: string | undefined;
  readonly writable: boolean;
  readonly #storage: Storage;
  readonly #recognise: (head: Uint8Array) => string;
  #last: Promise<void> = Promise.resolve();

  /**
   * @param recognise - the format that a head would be taken for
   */
  constructor(storage: Storage, recognise: (head: Uint8Array) => string) {
    this.#storage = storage;
    this.#recognise = recognise;
    this.location = storage.location;
    this.identity = storage.identity;
    this.writable = storage.writable;
  }

  get size(): number {
    return this.#storage.size;
  }

  read(buffer: Uint8Array, offset: number): Awaitable<void> {
    return this.#storage.read(buffer, offset);
  }

  write(bytes: Uint8Array, offset: number): Promise<void> {
    return this.writev([bytes], offset);
  }

  writev(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const put = (head: Uint8Array) => {
      let position = offset;
      for (const piece of pieces) {
        if (position < head.length) {
          head.set(piece.subarray(0, head.length - position), position);
        }
        position += piece.length;
      }
    };
    return this.#change(offset + length, put, () => guestOf(this.#storage).writev(pieces, offset));
  }

  writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): Promise<void> {
    const put = (head: Uint8Array) => head.fill(0, offset, offset + length);
    return this.#change(offset + length, put, () =>
      this.#storage.writeZeroes(offset, length, options),
    );
  }

  discard(offset: number, length: number): Promise<void> {
    const put = (head: Uint8Array) => head.fill(0, offset, offset + length);
    return this.#change(offset + length, put, () => this.#storage.discard(offset, length));
  }

  truncate(size: number): Awaitable<void> {
    return this.#storage.truncate(size);
  }

  map(offset: number, length: number): Awaitable<StorageExtent> {
    return this.#storage.map(offset, length);
  }

  flush(): Promise<void> {
    return this.#storage.flush();
  }

  close(): Promise<void> {
    return this.#storage.close();
  }

  #change(
    end: number,
    put: (head: Uint8Array) => void,
    action: () => Awaitable<void>,
  ): Promise<void> {
    const turn = this.#last.then(async () => {
      const head = new Uint8Array(Math.min(PROBE_LENGTH, Math.max(this.size, end)));
      await this.#storage.read(head, 0);
      put(head);
      this.#check(head);
      await action();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #check(head: Uint8Array): void {
    const format = this.#recognise(head);
    if (format !== 'raw') {
      throw new LamellaError(
        'FORMAT_CHANGE',
        `this write would make the image look like ${format}; that it is raw was only guessed by its content`,
        {
          location: this.location,
          offset: 0,
          hint: "Open the image with format: 'raw' to write anything to it.",
        },
      );
    }
  }
}
