import { alignUp, LamellaError, type Storage, viewOf } from '@lamella/core';
import {
  BAT_OFFSET,
  batEnd,
  CLOSED,
  EMPTY_FLAG,
  ENTRY_SIZE,
  FIELD,
  IN_USE,
  type ParallelsHeader,
  SECTOR,
  setSize,
} from './header.js';

/** What is written of it at once, bytes. */
const PAGE = 4096;

/** A piece of the file's head, as it was at one moment. */
export interface HeadPage {
  /** Byte of the file. */
  readonly offset: number;
  /** A copy. */
  readonly bytes: Uint8Array;
}

/**
 * The head of the file, header and block allocation table, in memory as it is in the file. Changes are noted by
 * page, and stored by whoever flushes.
 */
export class Bat {
  readonly #header: ParallelsHeader;
  readonly #dirty = new Set<number>();
  /** Whole sectors, so that a crash leaves each as it was or as it is to be. */
  #bytes: Uint8Array;
  #view: DataView;
  #entries: number;

  private constructor(header: ParallelsHeader, bytes: Uint8Array) {
    this.#header = header;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#entries = header.entries;
  }

  /**
   * @throws LamellaError as `Storage.read`; `CORRUPT` for an image that is marked as empty and is not
   */
  static async load(storage: Storage, header: ParallelsHeader): Promise<Bat> {
    const bytes = new Uint8Array(alignUp(batEnd(header.entries), SECTOR));
    await storage.read(bytes, 0);
    const bat = new Bat(header, bytes);
    if (header.empty && !bat.isEmpty()) {
      throw new LamellaError('CORRUPT', 'the image is marked as empty, and has clusters', {
        location: storage.location,
        offset: FIELD.flags,
      });
    }
    return bat;
  }

  /** How many entries there are. */
  get entries(): number {
    return this.#entries;
  }

  /** Bytes between two places that an entry can name. */
  get #unit(): number {
    return this.#header.magic === 'WithouFreSpacExt' ? this.#header.clusterSize : SECTOR;
  }

  /** Last byte of the file at which a cluster can begin. */
  get lastPlace(): number {
    return Math.min(0xffffffff * this.#unit, Number.MAX_SAFE_INTEGER - this.#header.clusterSize);
  }

  /** Byte of the file at which an entry is. */
  entryOffset(index: number): number {
    return BAT_OFFSET + index * ENTRY_SIZE;
  }

  /** Byte of the file at which a cluster of the disk begins, as the entry says; 0 if it is not stored. */
  placeOf(index: number): number {
    return this.#view.getUint32(this.entryOffset(index), true) * this.#unit;
  }

  /** Says where a cluster of the disk is; 0 for nowhere. */
  setPlace(index: number, place: number): void {
    const offset = this.entryOffset(index);
    this.#view.setUint32(offset, place / this.#unit, true);
    this.#touch(offset);
  }

  /** Whether the header says that somebody writes. */
  get inUse(): boolean {
    return this.#view.getUint32(FIELD.inUse, true) === IN_USE;
  }

  /** Notes in the header that somebody writes, or nobody any more. */
  setInUse(inUse: boolean): void {
    this.#view.setUint32(FIELD.inUse, inUse ? IN_USE : CLOSED, true);
    const flags = this.#view.getUint32(FIELD.flags, true);
    this.#view.setUint32(FIELD.flags, (flags & ~EMPTY_FLAG) >>> 0, true);
    this.#touch(FIELD.inUse);
  }

  /** Sets what the header says of the disk's size, and nothing else. */
  setSize(size: number, entries: number): void {
    setSize(this.#view, { size, entries });
    this.#touch(FIELD.sectors);
  }

  /** Makes room for more entries, zeroes at first, or forgets the last ones. The header stays as it is. */
  setEntries(entries: number): void {
    const bytes = new Uint8Array(alignUp(batEnd(entries), SECTOR));
    const kept = Math.min(this.#entries, entries);
    bytes.set(this.#bytes.subarray(0, batEnd(kept)));
    for (let offset = batEnd(kept); offset < batEnd(entries); offset += ENTRY_SIZE) {
      this.#touch(offset);
    }
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#entries = entries;
  }

  /** Copies of all that was changed since the last call. */
  takeChanges(): readonly HeadPage[] {
    const offsets = [...this.#dirty].sort((a, b) => a - b);
    this.#dirty.clear();
    return offsets
      .filter((offset) => offset < this.#bytes.length)
      .map((offset) => ({ offset, bytes: this.#bytes.slice(offset, offset + PAGE) }));
  }

  /** Pages that were taken could not be stored. */
  giveBack(pages: readonly HeadPage[]): void {
    for (const { offset } of pages) {
      this.#dirty.add(offset);
    }
  }

  /** Whether no cluster is stored. */
  isEmpty(): boolean {
    for (let index = 0; index < this.#entries; index += 1) {
      if (this.placeOf(index) !== 0) {
        return false;
      }
    }
    return true;
  }

  #touch(offset: number): void {
    this.#dirty.add(offset - (offset % PAGE));
  }
}
