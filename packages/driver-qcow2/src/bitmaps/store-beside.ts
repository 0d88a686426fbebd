import { LamellaError, type Storage, viewOf, writeUint64 } from '@lamella/core';
import type { MetadataGuard } from '../check/metadata-guard.js';
import type { Geometry } from '../geometry.js';
import type { Allocator } from '../refcount/allocator.js';
import type { Drops } from '../refcount/drops.js';
import type { Flusher } from '../write/flusher.js';
import type { Pressure } from '../write/pressure.js';
import { chunkBits, chunkBytes, packedChunk, readChunk } from './chunk.js';
import {
  type BitmapRecord,
  directoryLength,
  FLAG,
  serialiseDirectory,
  type TablePlace,
} from './directory.js';
import type { DirtyBits } from './dirty-bits.js';
import type { BitmapsExtension } from './extension.js';
import { type BitmapScale, MAX_DIRECTORY, tableLength } from './limits.js';
import { ALL_ONES, ALL_ZEROES, TableReader } from './table.js';

/** What storing bitmaps needs of an open image. */
export interface BitmapStorageParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly allocator: Allocator;
  readonly drops: Drops;
  readonly flusher: Flusher;
  readonly pressure: Pressure;
  readonly guard: MetadataGuard;
}

/** A bitmap as it is to be stored. */
export interface WantedBitmap {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  readonly granularityBits: number;
  /** The table that has its bits so far; without one none is set. */
  readonly table: TablePlace | undefined;
  /** Bits that are set as well. */
  readonly added: readonly DirtyBits[];
}

/** What the storage has now and what it is to have. */
export interface BitmapChange {
  /** Size of the disk that the bitmaps are to describe, in bytes. */
  readonly size: number;
  /** Where the directory is now. */
  readonly extension: BitmapsExtension | undefined;
  readonly wanted: readonly WantedBitmap[];
  /** Tables that nobody wants any more. */
  readonly unwanted: readonly TablePlace[];
}

/** Bitmaps that are on the storage, durably, but that the header does not refer to yet. */
export interface PreparedBitmaps {
  /** What the header has to say, to be written as a whole (`withBitmaps`, `rewriteHeader`). */
  readonly extension: BitmapsExtension | undefined;
  readonly records: readonly BitmapRecord[];
  /** The header is durable: what only the old one referred to is free after the next flush. */
  commit(): void;
  /** The header was not written: what was prepared is free after the next flush. */
  abort(): void;
}

/**
 * Stores bitmaps beside those that are there: bits, tables, directory, all in unused clusters, and makes
 * them durable. Nothing changes until a header says where they are. It has to be read after this, which may
 * move the refcount table.
 *
 * @throws LamellaError `NO_SPACE`, `IO_ERROR`, `CORRUPT`, `LIMIT_EXCEEDED`; nothing has changed then
 */
export async function storeBeside(
  parts: BitmapStorageParts,
  change: BitmapChange,
): Promise<PreparedBitmaps> {
  const preparation = new Preparation(parts, change);
  try {
    return await preparation.run();
  } catch (error) {
    preparation.giveUp();
    throw error;
  }
}

/** Table entries written at once. */
const TABLE_PIECE = 8192;

interface Run {
  readonly offset: number;
  readonly length: number;
}

class Preparation {
  readonly #parts: BitmapStorageParts;
  readonly #change: BitmapChange;
  readonly #scale: BitmapScale;
  readonly #made: Run[] = [];
  readonly #obsolete: Run[] = [];

  constructor(parts: BitmapStorageParts, change: BitmapChange) {
    this.#parts = parts;
    this.#change = change;
    this.#scale = { size: change.size, clusterSize: parts.geometry.clusterSize };
  }

  async run(): Promise<PreparedBitmaps> {
    const records: BitmapRecord[] = [];
    for (const wanted of this.#change.wanted) {
      records.push(await this.#store(wanted));
    }
    for (const table of this.#change.unwanted) {
      await this.#retire(table);
    }
    const extension = await this.#storeDirectory(records);
    await this.#parts.flusher.flush();
    return {
      extension,
      records,
      commit: () => this.#drop(this.#obsolete, true),
      abort: () => this.giveUp(),
    };
  }

  giveUp(): void {
    this.#drop(this.#made, false);
  }

  #drop(runs: readonly Run[], giveBack: boolean): void {
    for (const { offset, length } of runs) {
      this.#parts.drops.add(offset, length, giveBack);
    }
  }

  async #store({ table, added, ...bitmap }: WantedBitmap): Promise<BitmapRecord> {
    if (table !== undefined && (bitmap.flags & FLAG.inUse) !== 0) {
      return { ...bitmap, table };
    }
    const entries = tableLength(this.#scale, bitmap.granularityBits);
    const old = table ?? { offset: 0, entries: 0 };
    const reader = this.#reader(old);
    const changed = new Map<number, number>();
    for (let index = 0; index < entries; index += 1) {
      const bits = chunkBits(this.#scale, bitmap.granularityBits, index);
      // Where the disk has become smaller, bits that are of no use any more have to go.
      const cut = index === entries - 1 && table !== undefined;
      if (cut || added.some((dirty) => dirty.touches(bits.first, bits.count))) {
        const before = await reader.entry(index);
        const after = await this.#storeChunk(before, bits.first, bits.count, added);
        if (after !== before) {
          changed.set(index, after);
        }
      }
    }
    await this.#retireBits(old, entries);
    if (table !== undefined && table.entries === entries && changed.size === 0) {
      return { ...bitmap, table };
    }
    if (table !== undefined) {
      this.#obsolete.push({ offset: table.offset, length: table.entries * 8 });
    }
    return { ...bitmap, table: await this.#storeTable(reader, entries, changed) };
  }

  /** The entry of a chunk with more bits set; its cluster is new if it has one. */
  async #storeChunk(
    before: number,
    first: number,
    count: number,
    added: readonly DirtyBits[],
  ): Promise<number> {
    const { storage } = this.#parts;
    const { clusterSize } = this.#scale;
    const bytes = chunkBytes(await readChunk(storage, before, clusterSize), clusterSize);
    const old = bytes.slice();
    for (const dirty of added) {
      dirty.orInto(bytes, first);
    }
    const chunk = packedChunk(bytes, count);
    if (before > ALL_ONES && bytes.every((byte, index) => byte === old[index])) {
      return before;
    }
    if (before > ALL_ONES) {
      this.#obsolete.push({ offset: before, length: clusterSize });
    }
    if (typeof chunk === 'number') {
      return chunk;
    }
    const offset = await this.#allocate(clusterSize);
    await storage.write(chunk, offset);
    return offset;
  }

  async #storeTable(
    old: TableReader,
    entries: number,
    changed: ReadonlyMap<number, number>,
  ): Promise<TablePlace> {
    const { storage } = this.#parts;
    const offset = await this.#allocate(entries * 8);
    for (let start = 0; start < entries; start += TABLE_PIECE) {
      const piece = new Uint8Array(Math.min(TABLE_PIECE, entries - start) * 8);
      const view = viewOf(piece);
      for (let at = 0; at < piece.length; at += 8) {
        const index = start + at / 8;
        const entry = changed.get(index) ?? (await old.entry(index));
        writeUint64(view, at, entry, 'big');
      }
      await storage.write(piece, offset + start * 8);
    }
    return { offset, entries };
  }

  async #storeDirectory(records: readonly BitmapRecord[]): Promise<BitmapsExtension | undefined> {
    const { storage } = this.#parts;
    const { extension } = this.#change;
    if (extension !== undefined) {
      this.#obsolete.push({ offset: extension.offset, length: extension.size });
    }
    if (records.length === 0) {
      return undefined;
    }
    const size = directoryLength(records);
    if (size > MAX_DIRECTORY) {
      throw new LamellaError('LIMIT_EXCEEDED', 'the names of the bitmaps are too long in all', {
        location: storage.location,
        hint: `The bitmap directory has at most ${MAX_DIRECTORY} bytes.`,
      });
    }
    const offset = await this.#allocate(size);
    await storage.write(serialiseDirectory(records), offset);
    return { count: records.length, size, offset };
  }

  async #retire(table: TablePlace): Promise<void> {
    await this.#retireBits(table, 0);
    this.#obsolete.push({ offset: table.offset, length: table.entries * 8 });
  }

  /** The bits of a table's entries from a number on are not wanted. */
  async #retireBits(table: TablePlace, from: number): Promise<void> {
    const reader = this.#reader(table);
    for (let index = from; index < table.entries; index += 1) {
      const entry = await reader.entry(index);
      if (entry !== ALL_ZEROES && entry !== ALL_ONES) {
        this.#obsolete.push({ offset: entry, length: this.#scale.clusterSize });
      }
    }
  }

  #reader(table: TablePlace): TableReader {
    return new TableReader(this.#parts.storage, this.#scale.clusterSize, table);
  }

  /** Contiguous clusters for some bytes. */
  async #allocate(length: number): Promise<number> {
    const { allocator, pressure } = this.#parts;
    const { clusterSize } = this.#scale;
    if (pressure.high) {
      await pressure.relieve();
    }
    const count = Math.ceil(length / clusterSize);
    const { offset } = await allocator.allocateContiguous(count);
    this.#made.push({ offset, length: count * clusterSize });
    return offset;
  }
}
