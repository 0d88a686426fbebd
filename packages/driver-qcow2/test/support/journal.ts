import { MemoryStorage, type Storage, WrappedStorage } from '@lamella/core';

/** One of the two files. */
export type File = 'image' | 'data';

interface Change {
  readonly file: File;
  /** Undefined for a flush, and for a new length. */
  readonly bytes?: Uint8Array;
  readonly length?: number;
  readonly offset: number;
}

function isFlush(change: Change | undefined): boolean {
  return change?.bytes === undefined && change?.length === undefined;
}

/** Notes the changes and flushes of two files in one order. */
export class Journal {
  readonly changes: Change[] = [];

  get moments(): number[] {
    return [...this.changes.keys()]
      .filter((index) => isFlush(this.changes[index]))
      .concat(this.changes.length);
  }

  /** What a file holds if the power goes: all up to its last flush, and some of what came later. */
  stateOf(file: File, start: Uint8Array, moment: number, survives: () => boolean): MemoryStorage {
    const storage = MemoryStorage.from(start, { location: file });
    const past = this.changes.slice(0, moment);
    const durable = past.findLastIndex((change) => change.file === file && isFlush(change));
    for (const [index, change] of past.entries()) {
      if (change.file !== file || isFlush(change) || (index > durable && !survives())) {
        continue;
      }
      if (change.bytes !== undefined) {
        storage.write(change.bytes, change.offset);
      } else if (change.length !== undefined) {
        storage.truncate(change.length);
      }
    }
    return storage;
  }
}

/** Tells a journal of every change. */
export class JournalledStorage extends WrappedStorage {
  readonly #journal: Journal;
  readonly #file: File;

  constructor(inner: Storage, journal: Journal, file: File) {
    super(inner);
    this.#journal = journal;
    this.#file = file;
  }

  override async write(bytes: Uint8Array, offset: number): Promise<void> {
    await this.inner.write(bytes, offset);
    this.#journal.changes.push({ file: this.#file, bytes: bytes.slice(), offset });
  }

  override async writev(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    let at = offset;
    for (const piece of pieces) {
      await this.write(piece, at);
      at += piece.length;
    }
  }

  override async writeZeroes(offset: number, length: number): Promise<void> {
    await this.write(new Uint8Array(length), offset);
  }

  override async discard(offset: number, length: number): Promise<void> {
    await this.write(new Uint8Array(Math.max(0, Math.min(length, this.size - offset))), offset);
  }

  override async truncate(length: number): Promise<void> {
    await this.inner.truncate(length);
    this.#journal.changes.push({ file: this.#file, length, offset: 0 });
  }

  override async flush(): Promise<void> {
    await this.inner.flush();
    this.#journal.changes.push({ file: this.#file, offset: 0 });
  }
}

/** All bytes of a storage. */
export async function bytesOf(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.size);
  await storage.read(bytes, 0);
  return bytes;
}
