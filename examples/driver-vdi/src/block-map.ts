import { type Awaitable, alignDown, isPromise, type Storage, TableCache } from '@lamella/core';
import { ENTRY_SIZE, type VdiHeader } from './header.js';

/** Bytes of the block map that are read at once: the entries of 1 GiB of the disk. */
const SLICE_SIZE = 4096;
const DEFAULT_CACHE_SIZE = 4 * 1024 * 1024;

/** Neighbouring blocks of the disk that are alike. */
export interface BlockRun {
  /** Number of the first in the file, or undefined where they are not stored: zeroes. */
  readonly stored: number | undefined;
  /** How many there are; those behind it may continue it. */
  readonly count: number;
}

/** Never written, or known to be zeroes. */
const NOT_STORED: readonly number[] = [0xffffffff, 0xfffffffe];

/**
 * The block map of an image, read when it is asked for. A disk of 1 PiB has one of 4 GiB, and any header may
 * claim that much: so there is a bound to what is kept.
 */
export class BlockMap {
  readonly #cache: TableCache;
  readonly #offset: number;

  constructor(storage: Storage, { mapOffset }: VdiHeader, cacheSize = DEFAULT_CACHE_SIZE) {
    this.#cache = new TableCache(storage, { sliceSize: SLICE_SIZE, maxBytes: cacheSize });
    this.#offset = mapOffset;
  }

  /** Byte of the file at which a block's entry is. */
  entryOffset(block: number): number {
    return this.#offset + block * ENTRY_SIZE;
  }

  /**
   * Looks up neighbouring blocks. Returns a plain value when their entries are in memory.
   *
   * @param block - the first
   * @param count - at most so many; at least 1
   * @throws LamellaError as `Storage.read`
   */
  lookUp(block: number, count: number): Awaitable<BlockRun> {
    const position = this.entryOffset(block);
    const start = alignDown(position, SLICE_SIZE);
    const most = Math.min(count, (start + SLICE_SIZE - position) / ENTRY_SIZE);
    const slice = this.#cache.load(start);
    return isPromise(slice)
      ? slice.then(({ view }) => readRun(view, position - start, most))
      : readRun(slice.view, position - start, most);
  }
}

function readRun(view: DataView, position: number, most: number): BlockRun {
  const first = view.getUint32(position, true);
  const stored = NOT_STORED.includes(first) ? undefined : first;
  let count = 1;
  while (count < most) {
    const next = view.getUint32(position + count * ENTRY_SIZE, true);
    const continues =
      stored === undefined
        ? NOT_STORED.includes(next)
        : next === stored + count && !NOT_STORED.includes(next);
    if (!continues) {
      break;
    }
    count += 1;
  }
  return { stored, count };
}
