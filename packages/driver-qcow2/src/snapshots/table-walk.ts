import { type CachedSlice, type Storage, viewOf } from '@lamella/core';
import { compressedRange } from '../compression/descriptor.js';
import { corrupt } from '../errors.js';
import type { Geometry } from '../geometry.js';
import type { L2Entries } from '../mapping/l2-entries.js';
import { hostOffset, KIND } from '../mapping/l2-entry.js';
import { INVALID, type PointerTable } from '../tables/pointer-table.js';

/** Most bytes of tables in one read, and of reads under way at a time. */
const MAX_READ = 1024 * 1024;
const MAX_BATCH = 4 * 1024 * 1024;
const MAX_READS = 64;

/** A whole L2 table. */
export interface WholeTable extends CachedSlice {
  /** Index into the L1 table. */
  readonly l1Index: number;
}

/** What a {@link TableWalk} reads with. */
export interface TableWalkParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly entries: L2Entries;
}

/** Goes through the L2 tables of an L1 table: whole tables in the order of the file, several at once. */
export class TableWalk {
  readonly #parts: TableWalkParts;
  /** Bytes of an L2 table. */
  readonly #tableSize: number;

  constructor(parts: TableWalkParts) {
    this.#parts = parts;
    this.#tableSize = parts.geometry.clusterSize;
  }

  /**
   * The tables in batches of a few megabytes.
   *
   * @param length - entries of the L1 table to look at, from the first on
   * @throws LamellaError `CORRUPT` for an L1 entry that is invalid or leads where another does, `IO_ERROR`
   */
  async *batches(
    l1: PointerTable,
    length: number,
  ): AsyncGenerator<readonly WholeTable[], void, undefined> {
    const indexes = this.#sorted(l1, length);
    let from = 0;
    while (from < indexes.length) {
      const reads: Promise<readonly WholeTable[]>[] = [];
      let bytes = 0;
      while (from < indexes.length && bytes < MAX_BATCH && reads.length < MAX_READS) {
        const count = this.#runLength(l1, indexes, from);
        reads.push(this.#read(l1, indexes.subarray(from, from + count)));
        from += count;
        bytes += count * this.#tableSize;
      }
      yield (await Promise.all(reads)).flat();
    }
  }

  /** Indexes of the entries that lead to tables, in the order of these in the file. */
  #sorted(l1: PointerTable, length: number): Uint32Array {
    const indexes = new Uint32Array(length);
    let count = 0;
    let last = 0;
    let ascending = true;
    for (let index = 0; index < length; index += 1) {
      const pointer = l1.get(index);
      if (pointer === INVALID) {
        throw l1.invalid(index);
      }
      if (pointer !== 0) {
        indexes[count] = index;
        count += 1;
        ascending &&= pointer > last;
        last = pointer;
      }
    }
    const used = indexes.subarray(0, count);
    if (!ascending) {
      used.sort((a, b) => l1.get(a) - l1.get(b));
      this.#assertDistinct(l1, used);
    }
    return used;
  }

  /** Nobody makes such tables, and they would make a small file take hours. */
  #assertDistinct(l1: PointerTable, sorted: Uint32Array): void {
    let last = -1;
    for (const index of sorted) {
      const pointer = l1.get(index);
      if (pointer === last) {
        throw corrupt(
          this.#parts.storage.location,
          l1.offset + index * 8,
          `two L1 entries lead to the L2 table at byte ${pointer}`,
        );
      }
      last = pointer;
    }
  }

  #runLength(l1: PointerTable, indexes: Uint32Array, from: number): number {
    const start = l1.get(indexes[from] ?? 0);
    let count = 1;
    while (
      from + count < indexes.length &&
      (count + 1) * this.#tableSize <= MAX_READ &&
      l1.get(indexes[from + count] ?? 0) === start + count * this.#tableSize
    ) {
      count += 1;
    }
    return count;
  }

  async #read(l1: PointerTable, indexes: Uint32Array): Promise<readonly WholeTable[]> {
    const start = l1.get(indexes[0] ?? 0);
    const run = new Uint8Array(indexes.length * this.#tableSize);
    await this.#parts.storage.read(run, start);
    return Array.from(indexes, (l1Index, position) => {
      const at = position * this.#tableSize;
      const bytes = run.subarray(at, at + this.#tableSize);
      return { l1Index, offset: start + at, bytes, view: viewOf(bytes) };
    });
  }

  /**
   * Calls for the host clusters that a table refers to, in runs: once for each reference.
   *
   * @throws LamellaError `CORRUPT` for an invalid entry, and what `visit` throws
   */
  references(table: WholeTable, visit: (first: number, count: number) => void): void {
    const { entries, geometry } = this.#parts;
    const { clusterSize, l2EntrySize } = geometry;
    const clusterBits = Math.log2(clusterSize);
    let first = 0;
    let count = 0;
    for (let index = 0; index < clusterSize / l2EntrySize; index += 1) {
      const kind = entries.kind(table, index);
      if (kind === KIND.data || kind === KIND.preallocated) {
        const high = entries.high(table, index);
        const cluster = hostOffset(high, entries.low(table, index)) / clusterSize;
        if (cluster === first + count) {
          count += 1;
          continue;
        }
        visit(first, count);
        first = cluster;
        count = 1;
      } else if (kind === KIND.compressed) {
        const high = entries.high(table, index);
        const { offset, length } = compressedRange(high, entries.low(table, index), clusterBits);
        const start = Math.floor(offset / clusterSize);
        visit(start, Math.floor((offset + length - 1) / clusterSize) - start + 1);
      } else if (kind === KIND.invalid) {
        throw entries.invalid(table, index);
      }
    }
    visit(first, count);
  }
}
