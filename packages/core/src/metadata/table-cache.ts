import type { Awaitable } from '../bytes/index.js';
import { isPromise } from '../bytes/index.js';
import type { Storage } from '../storage/index.js';
import type { CachedSlice, Slice } from './slice.js';
import { SliceClock } from './slice-clock.js';
import { SliceIndex } from './slice-index.js';
import { SliceMemory } from './slice-memory.js';
import { WriteBack } from './write-back.js';

/**
 * Slices that a format's cache should hold at least: as many as the requests that the engine lets change
 * metadata at once may need together. With fewer they could evict each other's for ever.
 */
export const MIN_CACHED_SLICES = 256;

/** Size and bounds of a {@link TableCache}. */
export interface TableCacheOptions {
  /** Bytes of one slice: a power of two that divides the tables' size and alignment. */
  readonly sliceSize: number;
  /** Most bytes to hold; at least two slices are held whatever this says. */
  readonly maxBytes: number;
}

/**
 * A bounded cache of table slices (L1, L2, refcount blocks), keyed by their offset in the storage.
 *
 * - A miss is read once, however many callers wait for it.
 * - Lookups and changes go on while slices are written back, because a write-back works on copies.
 * - Slices that are dirty or being written are never evicted; the owner watches {@link overfull} and
 *   writes back in the order its format needs. Clean ones leave by second chance.
 *
 * A slice obtained from the cache is only valid until the next await: after it, get it again. The memory
 * of slices that left is used again, since V8 would let very much of it pile up before it looks.
 */
export class TableCache {
  readonly #storage: Storage;
  readonly #sliceSize: number;
  readonly #maxSlices: number;
  readonly #slices: SliceIndex;
  readonly #clock = new SliceClock();
  readonly #loads = new Map<number, Promise<Slice>>();
  readonly #memory: SliceMemory;
  #dirtyCount = 0;

  constructor(storage: Storage, options: TableCacheOptions) {
    this.#storage = storage;
    this.#sliceSize = options.sliceSize;
    this.#slices = new SliceIndex(options.sliceSize);
    this.#memory = new SliceMemory(options.sliceSize);
    this.#maxSlices = Math.max(2, Math.floor(options.maxBytes / options.sliceSize));
  }

  /** Bytes of one slice. */
  get sliceSize(): number {
    return this.#sliceSize;
  }

  /** Bytes held now. */
  get heldBytes(): number {
    return this.#slices.size * this.#sliceSize;
  }

  /** Bytes changed and not yet handed to a write-back. */
  get dirtyBytes(): number {
    return this.#dirtyCount * this.#sliceSize;
  }

  /** So much is dirty that the owner should write back before it changes more. */
  get overfull(): boolean {
    return this.#dirtyCount * 2 >= this.#maxSlices;
  }

  /**
   * The slice, if it is cached.
   *
   * @param offset - of the slice in the storage, bytes: a multiple of the slice's size
   */
  get(offset: number): CachedSlice | undefined {
    return this.#cached(offset);
  }

  #cached(offset: number): Slice | undefined {
    const slice = this.#slices.get(offset);
    if (slice !== undefined) {
      slice.used = true;
    }
    return slice;
  }

  /**
   * The slice, read from the storage if need be.
   *
   * @throws LamellaError as `Storage.read`
   * @param offset - of the slice in the storage, bytes
   */
  load(offset: number): Awaitable<CachedSlice> {
    return this.#obtain(offset);
  }

  #obtain(offset: number): Awaitable<Slice> {
    return this.#cached(offset) ?? this.#loads.get(offset) ?? this.#read(offset);
  }

  /**
   * A slice of zeroes for a table that is new on disk; dirty from the start.
   *
   * @param offset - of the slice in the storage, bytes
   */
  create(offset: number): CachedSlice {
    this.#remove(offset);
    const slice = this.#memory.fresh(offset);
    slice.dirty = true;
    this.#dirtyCount += 1;
    this.#insert(slice);
    return slice;
  }

  /** The slice was changed: a later write-back has to store it. */
  markDirty(slice: CachedSlice): void {
    const known = this.#slices.get(slice.offset);
    if (known === undefined || known !== slice) {
      throw new Error(`slice at ${slice.offset} was kept across an await and left the cache`);
    }
    if (!known.dirty) {
      known.dirty = true;
      this.#dirtyCount += 1;
    }
  }

  /**
   * Drops what is cached of a range whose space is no longer a table; changes in it are lost.
   *
   * @param offset - in the storage, bytes: a multiple of the slice's size
   * @param length - bytes
   */
  forget(offset: number, length: number): void {
    for (let position = offset; position < offset + length; position += this.#sliceSize) {
      this.#remove(position);
      this.#loads.delete(position);
    }
  }

  /** Drops everything that is cached; changes that were not written back are lost. */
  clear(): void {
    for (const { offset } of [...this.#clock.slices]) {
      this.#remove(offset);
    }
    this.#loads.clear();
  }

  /**
   * Takes copies of all dirty slices, as they are at this moment. Nothing is written yet: the owner
   * writes several caches' snapshots in its order.
   *
   * @param select - only slices for which this holds
   */
  beginWriteBack(select: (offset: number) => boolean = () => true): WriteBack {
    const taken: Slice[] = [];
    for (const slice of this.#clock.slices) {
      if (slice.dirty && select(slice.offset)) {
        slice.dirty = false;
        slice.writing += 1;
        taken.push(slice);
      }
    }
    this.#dirtyCount -= taken.length;
    return new WriteBack(this.#storage, taken, (slice, stored) => this.#settle(slice, stored));
  }

  #settle(slice: Slice, stored: boolean): void {
    slice.writing -= 1;
    if (!stored && !slice.dirty && this.#slices.get(slice.offset) === slice) {
      slice.dirty = true;
      this.#dirtyCount += 1;
    }
  }

  #read(offset: number): Awaitable<Slice> {
    const slice = this.#memory.take(offset);
    const reading = this.#storage.read(slice.bytes, offset);
    if (!isPromise(reading)) {
      this.#insert(slice);
      return slice;
    }
    const load = reading.then(
      () => {
        if (this.#loads.get(offset) !== load) {
          return this.#obtain(offset);
        }
        this.#loads.delete(offset);
        const newer = this.#slices.get(offset);
        if (newer !== undefined) {
          return newer;
        }
        this.#insert(slice);
        return slice;
      },
      (error: unknown) => {
        if (this.#loads.get(offset) === load) {
          this.#loads.delete(offset);
        }
        throw error;
      },
    );
    this.#loads.set(offset, load);
    return load;
  }

  #insert(slice: Slice): void {
    this.#slices.add(slice);
    this.#clock.add(slice);
    while (this.#slices.size > this.#maxSlices) {
      const leaving = this.#clock.next(slice);
      if (leaving === undefined) {
        return;
      }
      this.#slices.delete(leaving);
      this.#clock.delete(leaving);
      this.#memory.give(leaving);
    }
  }

  #remove(offset: number): void {
    const slice = this.#slices.get(offset);
    if (slice !== undefined) {
      this.#slices.delete(slice);
      this.#clock.delete(slice);
      if (slice.dirty) {
        slice.dirty = false;
        this.#dirtyCount -= 1;
      }
    }
  }
}
