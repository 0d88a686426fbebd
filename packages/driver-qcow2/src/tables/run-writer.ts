import type { Storage } from '@lamella/core';

/** Neighbours are joined into writes of at most this many bytes. */
const MAX_WRITE = 1024 * 1024;
/** Writes under way at a time. */
const MAX_WRITES = 16;

interface Run {
  readonly offset: number;
  readonly pieces: Uint8Array[];
  length: number;
}

/** Collects pieces of a file and writes them, neighbours together and several runs at once. */
export class RunWriter {
  readonly #storage: Storage;
  #runs: Run[] = [];

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Takes a piece in; it stays unchanged until {@link write} is done. */
  add(offset: number, bytes: Uint8Array): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.offset + last.length === offset && last.length < MAX_WRITE) {
      last.pieces.push(bytes);
      last.length += bytes.length;
    } else {
      this.#runs.push({ offset, pieces: [bytes], length: bytes.length });
    }
  }

  /**
   * Writes what was taken in.
   *
   * @throws LamellaError as `Storage.write`
   */
  async write(): Promise<void> {
    const runs = this.#runs;
    this.#runs = [];
    for (let at = 0; at < runs.length; at += MAX_WRITES) {
      const some = runs.slice(at, at + MAX_WRITES);
      await Promise.all(some.map(({ pieces, offset }) => this.#storage.writev(pieces, offset)));
    }
  }
}
