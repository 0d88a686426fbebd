import { LamellaError } from '../errors/index.js';
import type { Storage, StorageExtent } from './storage.js';

const PAGE_SIZE = 64 * 1024;

/** Limits of a {@link MemoryStorage}. */
export interface MemoryStorageOptions {
  /** Name to show; `memory:` by default. */
  readonly location?: string | undefined;
  /** Most bytes of memory to hold; writes beyond fail with `NO_SPACE`. No limit by default. */
  readonly maxBytes?: number | undefined;
  /** Whether writes are allowed; true by default. */
  readonly writable?: boolean | undefined;
}

/** A sparse storage in memory, for tests and scratch overlays: pages that were never written take none. */
export class MemoryStorage implements Storage {
  readonly location: string;
  readonly writable: boolean;
  readonly #pages = new Map<number, Uint8Array>();
  readonly #maxPages: number;
  #size = 0;
  #closed = false;

  constructor(options: MemoryStorageOptions = {}) {
    this.location = options.location ?? 'memory:';
    this.writable = options.writable ?? true;
    this.#maxPages = Math.floor((options.maxBytes ?? Number.MAX_SAFE_INTEGER) / PAGE_SIZE);
  }

  /** A storage that holds a copy of the given bytes. */
  static from(bytes: Uint8Array, options: MemoryStorageOptions = {}): MemoryStorage {
    const storage = new MemoryStorage(options);
    storage.#put(bytes, 0);
    return storage;
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of memory held for content. */
  get allocatedBytes(): number {
    return this.#pages.size * PAGE_SIZE;
  }

  read(buffer: Uint8Array, offset: number): void {
    this.#assertOpen();
    for (let done = 0; done < buffer.length; ) {
      const position = offset + done;
      const inPage = position % PAGE_SIZE;
      const length = Math.min(PAGE_SIZE - inPage, buffer.length - done);
      const page = this.#pages.get((position - inPage) / PAGE_SIZE);
      if (page === undefined) {
        buffer.fill(0, done, done + length);
      } else {
        buffer.set(page.subarray(inPage, inPage + length), done);
      }
      done += length;
    }
  }

  write(bytes: Uint8Array, offset: number): void {
    this.#assertWritable();
    this.#put(bytes, offset);
  }

  writev(pieces: readonly Uint8Array[], offset: number): void {
    let position = offset;
    for (const piece of pieces) {
      this.write(piece, position);
      position += piece.length;
    }
  }

  writeZeroes(offset: number, length: number): void {
    this.#assertWritable();
    this.#clear(offset, Math.min(length, Math.max(0, this.#size - offset)));
    this.#size = Math.max(this.#size, offset + length);
  }

  discard(offset: number, length: number): void {
    this.#assertWritable();
    this.#clear(offset, Math.min(length, Math.max(0, this.#size - offset)));
  }

  truncate(size: number): void {
    this.#assertWritable();
    if (size < this.#size) {
      this.#clear(size, this.#size - size);
    }
    this.#size = size;
  }

  map(offset: number, length: number): StorageExtent {
    this.#assertOpen();
    const first = Math.floor(offset / PAGE_SIZE);
    const last = Math.ceil((offset + length) / PAGE_SIZE);
    const hole = !this.#pages.has(first);
    const next = hole ? this.#firstPageFrom(first, last) : this.#firstHoleFrom(first, last);
    return {
      kind: hole ? 'hole' : 'data',
      length: Math.min(length, next * PAGE_SIZE - offset),
    };
  }

  async flush(): Promise<void> {
    this.#assertOpen();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pages.clear();
  }

  #put(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length; ) {
      const position = offset + done;
      const inPage = position % PAGE_SIZE;
      const length = Math.min(PAGE_SIZE - inPage, bytes.length - done);
      this.#page((position - inPage) / PAGE_SIZE).set(bytes.subarray(done, done + length), inPage);
      done += length;
    }
    this.#size = Math.max(this.#size, offset + bytes.length);
  }

  #page(index: number): Uint8Array {
    const existing = this.#pages.get(index);
    if (existing !== undefined) {
      return existing;
    }
    if (this.#pages.size >= this.#maxPages) {
      throw new LamellaError('NO_SPACE', 'the memory limit of this storage is reached', {
        location: this.location,
        offset: index * PAGE_SIZE,
        hint: 'Raise maxBytes or write to a file.',
      });
    }
    const page = new Uint8Array(PAGE_SIZE);
    this.#pages.set(index, page);
    return page;
  }

  #firstHoleFrom(first: number, last: number): number {
    let index = first;
    while (index < last && this.#pages.has(index)) {
      index += 1;
    }
    return index;
  }

  #firstPageFrom(first: number, last: number): number {
    if (last - first <= this.#pages.size) {
      let index = first;
      while (index < last && !this.#pages.has(index)) {
        index += 1;
      }
      return index;
    }
    let nearest = last;
    for (const index of this.#pages.keys()) {
      nearest = index >= first && index < nearest ? index : nearest;
    }
    return nearest;
  }

  #clear(offset: number, length: number): void {
    const end = offset + length;
    const first = Math.floor(offset / PAGE_SIZE);
    const last = Math.ceil(end / PAGE_SIZE);
    const indexes =
      last - first > this.#pages.size
        ? [...this.#pages.keys()].filter((index) => index >= first && index < last)
        : Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
    for (const index of indexes) {
      const from = Math.max(0, offset - index * PAGE_SIZE);
      const to = Math.min(PAGE_SIZE, end - index * PAGE_SIZE);
      if (from === 0 && to === PAGE_SIZE) {
        this.#pages.delete(index);
      } else {
        this.#pages.get(index)?.fill(0, from, to);
      }
    }
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw new LamellaError('CLOSED', 'the storage is closed', { location: this.location });
    }
  }

  #assertWritable(): void {
    this.#assertOpen();
    if (!this.writable) {
      throw new LamellaError('READ_ONLY', 'the storage is read-only', { location: this.location });
    }
  }
}
