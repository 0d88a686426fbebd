import { type Storage, viewOf } from '@lamella/core';
import { corrupt } from '../errors.js';
import { hostOffset } from '../mapping/l2-entry.js';
import type { TablePlace } from './directory.js';

/** Entries read at once. */
const PIECE = 1024;

/** A table entry for bits that are all 0, without a cluster. */
export const ALL_ZEROES = 0;
/** A table entry for bits that are all 1, without a cluster; any other entry is a cluster's byte offset. */
export const ALL_ONES = 1;

/**
 * The meaning of a table entry (specification: "Bitmap table").
 *
 * @param high - its upper half
 * @param low - its lower half
 * @param clusterSize - bytes
 * @returns {@link ALL_ZEROES}, {@link ALL_ONES} or a byte offset; undefined if it breaks the specification
 */
export function parseTableEntry(
  high: number,
  low: number,
  clusterSize: number,
): number | undefined {
  const offset = hostOffset(high, low);
  const ones = (low & 1) === 1;
  if (
    high >>> 24 !== 0 ||
    (low & 0x1fe) !== 0 ||
    offset % clusterSize !== 0 ||
    (offset !== 0 && ones)
  ) {
    return undefined;
  }
  return ones ? ALL_ONES : offset;
}

/** Reads the entries of a bitmap's table, some at once. */
export class TableReader {
  readonly #storage: Storage;
  readonly #clusterSize: number;
  readonly #place: TablePlace;
  #first = 0;
  #piece = new Uint8Array(0);

  constructor(storage: Storage, clusterSize: number, place: TablePlace) {
    this.#storage = storage;
    this.#clusterSize = clusterSize;
    this.#place = place;
  }

  /**
   * An entry; {@link ALL_ZEROES} behind the table's end.
   *
   * @throws LamellaError `CORRUPT`, `IO_ERROR`
   */
  async entry(index: number): Promise<number> {
    if (index >= this.#place.entries) {
      return ALL_ZEROES;
    }
    const { location, size } = this.#storage;
    const at = this.#place.offset + index * 8;
    await this.#bring(index);
    const view = viewOf(this.#piece);
    const position = (index - this.#first) * 8;
    const high = view.getUint32(position);
    const low = view.getUint32(position + 4);
    const entry = parseTableEntry(high, low, this.#clusterSize);
    if (entry === undefined) {
      throw corrupt(location, at, 'a bitmap table entry is invalid');
    }
    if (entry >= size) {
      throw corrupt(location, at, 'a bitmap table entry points behind the end of the file');
    }
    return entry;
  }

  async #bring(index: number): Promise<void> {
    const known = this.#piece.length / 8;
    if (index < this.#first || index >= this.#first + known) {
      const first = index - (index % PIECE);
      const piece = new Uint8Array(Math.min(PIECE, this.#place.entries - first) * 8);
      await this.#storage.read(piece, this.#place.offset + first * 8);
      this.#first = first;
      this.#piece = piece;
    }
  }
}
