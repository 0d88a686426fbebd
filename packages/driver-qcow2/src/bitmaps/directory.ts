import { alignUp, LamellaError, type Storage, viewOf, writeUint64 } from '@lamella/core';
import { corrupt } from '../errors.js';
import type { BitmapsExtension } from './extension.js';
import {
  GRANULARITY_BITS,
  MAX_BITMAPS,
  MAX_DIRECTORY,
  MAX_NAME,
  MAX_TABLE_ENTRIES,
} from './limits.js';

const TWO_32 = 0x1_0000_0000;
/** Fixed bytes of a directory entry. */
const FIXED = 24;
const DIRTY_TRACKING = 1;

/** Flags of a directory entry. */
export const FLAG = {
  /** What the entry and the bits say can't be relied on. */
  inUse: 1,
  /** All changes of the disk are recorded. */
  auto: 2,
  extraDataCompatible: 4,
} as const;

const KNOWN_FLAGS = FLAG.inUse | FLAG.auto | FLAG.extraDataCompatible;

/** Where a bitmap's table is. */
export interface TablePlace {
  /** Byte offset within the file. */
  readonly offset: number;
  readonly entries: number;
}

/** A bitmap as the directory has it. */
export interface BitmapRecord {
  readonly name: string;
  /** The name as it is stored: need not be UTF-8. */
  readonly nameBytes: Uint8Array;
  /** Bits of {@link FLAG}. */
  readonly flags: number;
  /** A bit stands for 2^granularityBits bytes. */
  readonly granularityBits: number;
  readonly table: TablePlace;
}

/**
 * Reads the bitmap directory (specification: "Bitmap directory").
 *
 * @param clusterSize - bytes
 * @throws LamellaError `CORRUPT`, `LIMIT_EXCEEDED`, `UNSUPPORTED` (bitmaps of a sort that nobody knows),
 * `IO_ERROR`
 */
export async function readDirectory(
  storage: Storage,
  { count, size, offset }: BitmapsExtension,
  clusterSize: number,
): Promise<BitmapRecord[]> {
  const { location } = storage;
  if (size > MAX_DIRECTORY || count > MAX_BITMAPS) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `the bitmap directory has ${count} bitmaps in ${size} bytes`,
      {
        location,
        offset,
        hint: `At most ${MAX_BITMAPS} in ${MAX_DIRECTORY} bytes are supported.`,
      },
    );
  }
  if (count === 0 || offset === 0 || offset % clusterSize !== 0 || offset + size > storage.size) {
    throw corrupt(location, offset, `no bitmap directory of ${count} bitmaps can be there`);
  }
  const bytes = new Uint8Array(size);
  await storage.read(bytes, offset);
  return new DirectoryParser(bytes, offset, clusterSize, location).parse(count);
}

class DirectoryParser {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #offset: number;
  readonly #clusterSize: number;
  readonly #location: string;

  constructor(bytes: Uint8Array, offset: number, clusterSize: number, location: string) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#offset = offset;
    this.#clusterSize = clusterSize;
    this.#location = location;
  }

  parse(count: number): BitmapRecord[] {
    const records: BitmapRecord[] = [];
    const names = new Set<string>();
    for (let at = 0; at < this.#bytes.length; at += directoryEntryLength(records.at(-1))) {
      const record = this.#entry(at);
      const key = String.fromCharCode(...record.nameBytes);
      if (names.has(key)) {
        throw this.#damage(at, `there are two bitmaps of the name '${record.name}'`);
      }
      names.add(key);
      records.push(record);
    }
    if (records.length !== count) {
      const found = `${records.length} bitmaps instead of ${count}`;
      throw this.#damage(0, `the bitmap directory has ${found}`);
    }
    return records;
  }

  #entry(at: number): BitmapRecord {
    const view = this.#view;
    if (at + FIXED > view.byteLength) {
      throw this.#damage(at, 'the bitmap directory ends within an entry');
    }
    const nameLength = view.getUint16(at + 18);
    const extra = view.getUint32(at + 20);
    if (nameLength === 0 || nameLength > MAX_NAME) {
      throw this.#damage(at + 18, `a bitmap has a name of ${nameLength} bytes`);
    }
    if (at + alignUp(FIXED + nameLength + extra, 8) > view.byteLength) {
      throw this.#damage(at, 'the bitmap directory ends within an entry');
    }
    const nameBytes = this.#bytes.slice(at + FIXED + extra, at + FIXED + extra + nameLength);
    const name = new TextDecoder().decode(nameBytes);
    const flags = view.getUint32(at + 12);
    if (extra !== 0 || view.getUint8(at + 16) !== DIRTY_TRACKING || (flags & ~KNOWN_FLAGS) !== 0) {
      throw new LamellaError('UNSUPPORTED', `the bitmap '${name}' is of an unknown sort`, {
        location: this.#location,
        offset: this.#offset + at,
        hint: 'Open the image read-only, or use a program that knows such bitmaps.',
      });
    }
    return {
      name,
      nameBytes,
      flags,
      granularityBits: this.#granularity(at, name),
      table: this.#table(at, name),
    };
  }

  #granularity(at: number, name: string): number {
    const bits = this.#view.getUint8(at + 17);
    if (bits < GRANULARITY_BITS.min || bits > GRANULARITY_BITS.max) {
      throw this.#damage(at + 17, `the bitmap '${name}' has a granularity of 2^${bits} bytes`);
    }
    return bits;
  }

  #table(at: number, name: string): TablePlace {
    const offset = this.#view.getUint32(at) * TWO_32 + this.#view.getUint32(at + 4);
    const entries = this.#view.getUint32(at + 8);
    if (
      offset === 0 ||
      offset % this.#clusterSize !== 0 ||
      entries === 0 ||
      entries > MAX_TABLE_ENTRIES
    ) {
      throw this.#damage(at, `the bitmap '${name}' has an impossible table`);
    }
    return { offset, entries };
  }

  #damage(at: number, problem: string): LamellaError {
    return corrupt(this.#location, this.#offset + at, problem);
  }
}

/** Bytes that a directory entry takes, padding included. */
function directoryEntryLength(record: BitmapRecord | undefined): number {
  return alignUp(FIXED + (record?.nameBytes.length ?? 0), 8);
}

/** Bytes that a directory takes. */
export function directoryLength(records: readonly BitmapRecord[]): number {
  return records.reduce((sum, record) => sum + directoryEntryLength(record), 0);
}

/** The bytes of a directory. */
export function serialiseDirectory(records: readonly BitmapRecord[]): Uint8Array {
  const bytes = new Uint8Array(directoryLength(records));
  const view = viewOf(bytes);
  let at = 0;
  for (const record of records) {
    writeUint64(view, at, record.table.offset, 'big');
    view.setUint32(at + 8, record.table.entries);
    view.setUint32(at + 12, record.flags);
    view.setUint8(at + 16, DIRTY_TRACKING);
    view.setUint8(at + 17, record.granularityBits);
    view.setUint16(at + 18, record.nameBytes.length);
    bytes.set(record.nameBytes, at + FIXED);
    at += directoryEntryLength(record);
  }
  return bytes;
}
