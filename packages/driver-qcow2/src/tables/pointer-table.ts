import { type Storage, viewOf } from '@lamella/core';
import { corrupt } from '../errors.js';

const TWO_32 = 0x1_0000_0000;
/** Changes are written in pieces of this many bytes. */
const SECTOR = 512;
const SECTOR_ENTRIES = SECTOR / 8;
/** Bit 63 of an L1 entry, in its upper half: the refcount is exactly one. */
const COPIED = 0x8000_0000;
/** Entries are read from the storage in pieces of this many bytes. */
const READ_SIZE = 256 * 1024;

/** Value in {@link PointerTable} for an entry that points nowhere valid. */
export const INVALID = -1;

/** What tells an L1 table from a refcount table. */
export interface PointerTableFormat {
  /** For messages: `L1 entry`. */
  readonly entryName: string;
  /** Bits of the upper half that belong to the offset. */
  readonly highMask: number;
  /** Whether bit 63 is the COPIED flag. */
  readonly copiedFlag: boolean;
}

/** Specification: "Cluster mapping", L1 table entry. */
export const L1_FORMAT: PointerTableFormat = {
  entryName: 'L1 entry',
  highMask: 0x00ff_ffff,
  copiedFlag: true,
};

/** Specification: "Host cluster management", refcount table entry. */
export const REFCOUNT_TABLE_FORMAT: PointerTableFormat = {
  entryName: 'refcount table entry',
  highMask: 0xffff_ffff,
  copiedFlag: false,
};

/** Where a pointer table is and how its pointers must be aligned. */
export interface PointerTablePlace {
  /** Byte offset of the table in the file. */
  readonly offset: number;
  /** Number of entries. */
  readonly length: number;
  /** Bytes; every pointer must be a multiple. */
  readonly clusterSize: number;
}

/** Changed sectors of a pointer table, copied at one moment. */
export interface PointerTableSnapshot {
  readonly empty: boolean;
  /**
   * Writes the copies.
   *
   * @throws LamellaError as `Storage.write`
   */
  write(): Promise<void>;
  /** The copies did not become durable: they count as changed again. */
  restore(): void;
}

/**
 * A table of 64-bit pointers to clusters that is held in memory as a whole: the active L1 table or the
 * refcount table. Invalid entries are found when the table is read and kept as they are on disk.
 */
export class PointerTable {
  readonly #storage: Storage;
  readonly #format: PointerTableFormat;
  readonly #offset: number;
  readonly #entries: Float64Array;
  readonly #copied: Uint8Array;
  /** Both halves of every entry as it is on disk, once an invalid one was met: they are kept as they are. */
  #raw: Uint32Array | undefined;
  #dirty = new Set<number>();
  #watcher: ((pointer: number) => void) | undefined;

  constructor(
    storage: Storage,
    format: PointerTableFormat,
    place: Pick<PointerTablePlace, 'offset' | 'length'>,
  ) {
    this.#storage = storage;
    this.#format = format;
    this.#offset = place.offset;
    this.#entries = new Float64Array(place.length);
    this.#copied = new Uint8Array(format.copiedFlag ? place.length : 0);
  }

  /**
   * Reads a table. The caller has checked that it is of bearable size.
   *
   * @throws LamellaError as `Storage.read`
   */
  static async read(
    storage: Storage,
    format: PointerTableFormat,
    place: PointerTablePlace,
  ): Promise<PointerTable> {
    const table = new PointerTable(storage, format, place);
    const bytes = place.length * 8;
    const buffer = new Uint8Array(Math.min(READ_SIZE, bytes));
    for (let at = 0; at < bytes; at += READ_SIZE) {
      const piece = buffer.subarray(0, bytes - at);
      await storage.read(piece, place.offset + at);
      table.#parse(viewOf(piece), at / 8, place.clusterSize);
    }
    return table;
  }

  #parse(view: DataView, first: number, clusterSize: number): void {
    for (let at = 0; at < view.byteLength; at += 8) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      if (high !== 0 || low !== 0) {
        this.#accept(first + at / 8, high, low, clusterSize);
      }
    }
  }

  #accept(index: number, high: number, low: number, clusterSize: number): void {
    const pointer = ((high & this.#format.highMask) >>> 0) * TWO_32 + ((low & 0xffff_fe00) >>> 0);
    if (pointer % clusterSize !== 0 || pointer + clusterSize > this.#storage.size) {
      this.#entries[index] = INVALID;
      this.#raw ??= new Uint32Array(this.length * 2);
      this.#raw[2 * index] = high;
      this.#raw[2 * index + 1] = low;
      return;
    }
    this.#entries[index] = pointer;
    if (this.#format.copiedFlag) {
      this.#copied[index] = high >>> 31;
    }
  }

  /** Byte offset of the table in the file. */
  get offset(): number {
    return this.#offset;
  }

  /** Number of entries. */
  get length(): number {
    return this.#entries.length;
  }

  /** What an entry points to: a byte offset, 0 for nothing, {@link INVALID}. */
  get(index: number): number {
    return this.#entries[index] ?? 0;
  }

  /** Whether the COPIED flag of an entry is set. */
  isCopied(index: number): boolean {
    return this.#copied[index] === 1;
  }

  /**
   * Lets an entry point to a cluster; 0 for nothing.
   *
   * @param alone - whether nothing else refers to the cluster
   */
  set(index: number, pointer: number, alone = true): void {
    this.#watcher?.(pointer);
    this.#entries[index] = pointer;
    if (this.#format.copiedFlag) {
      this.#copied[index] = pointer !== 0 && alone ? 1 : 0;
    }
    this.#dirty.add(Math.floor(index / SECTOR_ENTRIES));
  }

  /** Lets somebody know of every pointer that is set from now on, also in copies of the table. */
  watch(watcher: (pointer: number) => void): void {
    this.#watcher = watcher;
  }

  /** The error that an {@link INVALID} entry means. */
  invalid(index: number): Error {
    const hex = (half: number | undefined) => (half ?? 0).toString(16).padStart(8, '0');
    const value = ` 0x${hex(this.#raw?.[2 * index])}${hex(this.#raw?.[2 * index + 1])}`;
    return corrupt(
      this.#storage.location,
      this.#offset + index * 8,
      `${this.#format.entryName} ${index}${value} points to no cluster of the file`,
    );
  }

  /** A copy of the table in memory for another place, all of it still to be written. */
  movedTo(offset: number, length: number): PointerTable {
    const moved = new PointerTable(this.#storage, this.#format, { offset, length });
    moved.#watcher = this.#watcher;
    moved.#entries.set(this.#entries.subarray(0, length));
    moved.#copied.set(this.#copied.subarray(0, length));
    if (this.#raw !== undefined) {
      moved.#raw = new Uint32Array(length * 2);
      moved.#raw.set(this.#raw.subarray(0, length * 2));
    }
    for (let sector = 0; sector * SECTOR_ENTRIES < length; sector += 1) {
      moved.#dirty.add(sector);
    }
    return moved;
  }

  /** Takes copies of the changed sectors; they count as unchanged from now on. */
  takeChanges(): PointerTableSnapshot {
    const sectors = this.#dirty;
    this.#dirty = new Set();
    const pieces = [...sectors]
      .sort((a, b) => a - b)
      .map((sector) => ({ at: this.#offset + sector * SECTOR, bytes: this.#serialise(sector) }));
    return {
      empty: sectors.size === 0,
      write: async () => {
        for (const run of joined(pieces)) {
          await this.#storage.writev(run.pieces, run.at);
        }
      },
      restore: () => {
        for (const sector of sectors) {
          this.#dirty.add(sector);
        }
      },
    };
  }

  #serialise(sector: number): Uint8Array {
    const first = sector * SECTOR_ENTRIES;
    const count = Math.min(SECTOR_ENTRIES, this.#entries.length - first);
    const bytes = new Uint8Array(count * 8);
    const view = viewOf(bytes);
    for (let i = 0; i < count; i += 1) {
      const index = first + i;
      const pointer = this.get(index);
      if (pointer === INVALID) {
        view.setUint32(i * 8, this.#raw?.[2 * index] ?? 0);
        view.setUint32(i * 8 + 4, this.#raw?.[2 * index + 1] ?? 0);
        continue;
      }
      const high = Math.floor(pointer / TWO_32);
      const flag = this.isCopied(index) ? COPIED : 0;
      view.setUint32(i * 8, (high | flag) >>> 0);
      view.setUint32(i * 8 + 4, pointer - high * TWO_32);
    }
    return bytes;
  }
}

function joined(
  pieces: readonly { readonly at: number; readonly bytes: Uint8Array }[],
): { readonly at: number; readonly pieces: Uint8Array[] }[] {
  const runs: { readonly at: number; readonly pieces: Uint8Array[]; end: number }[] = [];
  for (const { at, bytes } of pieces) {
    const last = runs.at(-1);
    if (last !== undefined && last.end === at) {
      last.pieces.push(bytes);
      last.end += bytes.length;
    } else {
      runs.push({ at, pieces: [bytes], end: at + bytes.length });
    }
  }
  return runs;
}
