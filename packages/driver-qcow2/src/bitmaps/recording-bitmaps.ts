import {
  type AddBitmapOptions,
  type Awaitable,
  type ByteRange,
  isLamellaError,
  LamellaError,
} from '@lamella/core';
import { unsupported } from '../errors.js';
import type { Header } from '../header/header.js';
import { readHeader } from '../header/parse.js';
import { rewriteHeader } from '../header/rewrite.js';
import { FLAG, serialiseDirectory } from './directory.js';
import { DirtyBits } from './dirty-bits.js';
import { type BitmapsExtension, parseBitmapsExtension, withBitmaps } from './extension.js';
import { bitCount } from './limits.js';
import type { LoadedBitmaps } from './loaded.js';
import { assertBitmapSize, newBitmap } from './new-bitmap.js';
import {
  type BitmapStorageParts,
  type PreparedBitmaps,
  storeBeside,
  type WantedBitmap,
} from './store-beside.js';
import { STORED_BITS, StoredBitmaps } from './stored-bitmaps.js';

/** The parts of a writable image that its bitmaps use. */
export interface RecordingParts extends BitmapStorageParts {
  readonly header: Header;
  readonly bitmaps: LoadedBitmaps;
}

/**
 * The bitmaps of an image that is open for writing. The storage is what counts: every change of a bitmap
 * is stored before it is done. Only what writes set is kept in memory until the image is closed; before
 * the first write the bitmaps that record it are marked as in use, durably.
 */
export class RecordingBitmaps extends StoredBitmaps {
  #parts: BitmapStorageParts;
  #version: Header['version'];
  #extension: BitmapsExtension | undefined;
  #recording: readonly { readonly dirty: DirtyBits; readonly granularity: number }[] = [];
  #marked = false;
  #marking: Promise<void> | undefined;
  #unknown: unknown;

  constructor(parts: RecordingParts) {
    super(sourceOf(parts), parts.bitmaps);
    this.#parts = parts;
    this.#version = parts.header.version;
    this.#extension = parts.bitmaps.extension;
    this.#goOn(parts.bitmaps);
  }

  /** Whether writes have to be recorded; otherwise nothing of this class is in their way. */
  get records(): boolean {
    return this.#recording.length > 0;
  }

  /**
   * Notes a change of the disk's data that is about to happen.
   *
   * @returns a promise while the bitmaps are being marked as in use: wait for it
   * @throws LamellaError `IO_ERROR` (as a rejection); nothing may be changed then
   */
  record(offset: number, length: number): Awaitable<void> {
    if (!this.#marked) {
      return this.#markInUse().then(() => this.record(offset, length));
    }
    for (const { dirty, granularity } of this.#recording) {
      dirty.set(Math.floor(offset / granularity), Math.floor((offset + length - 1) / granularity));
    }
  }

  override async add(options: AddBitmapOptions): Promise<void> {
    this.assertUsable();
    const { storage, scale } = this.source;
    const wanted = newBitmap(options, {
      names: this.bitmaps.map(({ record }) => record.name),
      version: this.#version,
      scale,
      location: storage.location,
    });
    await this.#change([...this.#wanted(), wanted]);
  }

  override async remove(name: string): Promise<void> {
    const gone = this.findAny(name);
    await this.#change(this.#wanted().filter((_, index) => this.bitmaps[index] !== gone));
  }

  override async clear(name: string): Promise<void> {
    this.find(name);
    await this.#changeOne(name, (wanted) => ({ ...wanted, table: undefined, added: [] }));
  }

  override async setRecording(name: string, recording: boolean): Promise<void> {
    const { flags } = this.find(name).record;
    if (recording !== ((flags & FLAG.auto) !== 0)) {
      await this.#changeOne(name, (wanted) => ({ ...wanted, flags: flags ^ FLAG.auto }));
    }
  }

  override async merge(target: string, sources: readonly string[]): Promise<void> {
    this.find(target);
    const all = sources.map((source) => this.find(source).record.name);
    const ranges = async function* (this: RecordingBitmaps) {
      for (const source of all) {
        yield* this.ranges(source);
      }
    };
    await this.mergeRanges(target, ranges.call(this));
  }

  override async mergeRanges(target: string, ranges: AsyncIterable<ByteRange>): Promise<void> {
    const granularity = 2 ** this.find(target).record.granularityBits;
    const { size } = this.source.scale;
    const added = new DirtyBits();
    for await (const { offset, length } of ranges) {
      if (!(offset >= 0 && length > 0 && offset + length <= size)) {
        throw new LamellaError('OUT_OF_RANGE', 'a range to merge lies outside the disk', {
          location: this.source.storage.location,
          offset,
        });
      }
      added.set(Math.floor(offset / granularity), Math.floor((offset + length - 1) / granularity));
    }
    await this.#changeOne(target, (wanted) => ({ ...wanted, added: [...wanted.added, added] }));
  }

  /**
   * Stores what was recorded and marks the bitmaps as consistent. No request is under way. In an image that
   * is marked as corrupt nothing is stored.
   *
   * @throws LamellaError `NO_SPACE`, `IO_ERROR`, `CORRUPT`; the bitmaps stay marked as in use
   */
  async store(): Promise<void> {
    if (!this.#marked || this.#parts.guard.refuses) {
      return;
    }
    const names = this.bitmaps.flatMap(({ record, dirty }) =>
      dirty === undefined ? [] : [`'${record.name}'`],
    );
    try {
      await this.#change(this.#wanted());
    } catch (cause) {
      const known = isLamellaError(cause);
      throw new LamellaError(
        known ? cause.code : 'IO_ERROR',
        `what the bitmaps ${names.join(', ')} recorded could not be stored: ${known ? cause.problem : String(cause)}`,
        {
          location: this.source.storage.location,
          hint: 'They are inconsistent unless they can be stored later; the data is not concerned.',
          cause,
        },
      );
    }
  }

  /**
   * Changes the image as a whole: the bitmaps are stored first, and nobody reads them meanwhile.
   *
   * @param change - calls {@link RecordingBitmaps.adopt} at its end, whatever happened
   */
  async whileStored(change: () => Promise<void>): Promise<void> {
    await this.store();
    await this.locks.exclusive(STORED_BITS, async () => {
      this.#unknown = 'the image was changed and could not be read again';
      await change();
    });
  }

  /**
   * Writes the header of a disk whose size or data change with it, with bitmaps that fit: for somebody who
   * changes the image as a whole, in the place of `rewriteHeader`. Everything else that the header refers to
   * is on the storage. Bits behind a smaller size are gone, bits behind the old size are clear. The old
   * bitmaps' space is free after the next flush.
   *
   * @param header - the one to write
   * @param everything - the whole disk may have other data: it is recorded
   * @throws LamellaError as `storeBeside` and `rewriteHeader`, `LIMIT_EXCEEDED` for bitmaps that are too
   * fine for the size, `UNSUPPORTED` when there are bitmaps and the disk would have no bytes
   */
  async rewriteHeader(header: Header, everything = false): Promise<void> {
    this.assertUsable();
    const { storage } = this.#parts;
    if (this.bitmaps.length === 0) {
      await rewriteHeader(storage, header);
      return;
    }
    if (header.size === 0) {
      throw unsupported(
        storage.location,
        'a disk of 0 bytes with bitmaps',
        'Remove the bitmaps first.',
      );
    }
    const wanted = this.#wanted().map((bitmap) => {
      const { name, flags, granularityBits } = bitmap;
      assertBitmapSize(name, header.size, granularityBits, storage.location);
      if (!everything || !isRecording(flags)) {
        return bitmap;
      }
      const all = new DirtyBits();
      all.set(0, bitCount(header.size, granularityBits) - 1);
      return { ...bitmap, added: [...bitmap.added, all] };
    });
    const prepared = await this.#storeBeside(wanted, header.size);
    // The flush in between may have moved the refcount table.
    const { refcountTableOffset, refcountTableClusters } = await readHeader(storage);
    const renewed = { ...header, refcountTableOffset, refcountTableClusters };
    // Should this fail, nobody knows which header a crash brings back: the space of neither is given up.
    await rewriteHeader(storage, withBitmaps(renewed, prepared.extension));
    prepared.commit();
  }

  /** Goes on with what the storage has after the image was changed as a whole. */
  adopt(parts: RecordingParts): void {
    this.#parts = parts;
    this.#version = parts.header.version;
    this.#extension = parts.bitmaps.extension;
    this.source = sourceOf(parts);
    this.#unknown = undefined;
    this.#goOn(parts.bitmaps);
  }

  /** The bitmaps as they are, to be stored. */
  #wanted(): WantedBitmap[] {
    return this.bitmaps.map(({ record, dirty }) => ({
      ...record,
      added: dirty === undefined ? [] : [dirty],
    }));
  }

  async #changeOne(name: string, change: (bitmap: WantedBitmap) => WantedBitmap): Promise<void> {
    await this.#change(
      this.#wanted().map((wanted) => (wanted.name === name ? change(wanted) : wanted)),
    );
  }

  /** Stores bitmaps in the place of those that are there. */
  async #change(wanted: readonly WantedBitmap[]): Promise<void> {
    this.#assertKnown();
    const { storage, flusher, guard } = this.#parts;
    if (guard.refuses) {
      await guard.refuse();
    }
    await this.locks.exclusive(STORED_BITS, async () => {
      const prepared = await this.#storeBeside(wanted, this.source.scale.size);
      try {
        const header = await readHeader(storage);
        await rewriteHeader(storage, withBitmaps(header, prepared.extension));
      } catch (error) {
        await this.#examine(prepared, error);
        throw error;
      }
      prepared.commit();
      this.#goOn(prepared);
      await flusher.flush();
    });
  }

  #storeBeside(wanted: readonly WantedBitmap[], size: number): Promise<PreparedBitmaps> {
    const kept = new Set(wanted.map(({ table }) => table?.offset));
    const tables = this.bitmaps.map(({ record }) => record.table);
    return storeBeside(this.#parts, {
      size,
      extension: this.#extension,
      wanted,
      unwanted: tables.filter(({ offset }) => !kept.has(offset)),
    });
  }

  /** Finds out what holds after the header could not be written. */
  async #examine({ abort }: PreparedBitmaps, error: unknown): Promise<void> {
    try {
      const { storage } = this.#parts;
      const found = parseBitmapsExtension(await readHeader(storage), storage.location);
      if (found?.offset === this.#extension?.offset) {
        abort();
        return;
      }
    } catch {
      // The first error says more.
    }
    // A crash may still bring the old header back, so neither directory may be taken for the one in use.
    this.#unknown = error;
    this.#marked = false;
  }

  #goOn({ extension, records }: Pick<LoadedBitmaps, 'extension' | 'records'>): void {
    const bitmaps = records.map((record) =>
      isRecording(record.flags) ? { record, dirty: new DirtyBits() } : { record },
    );
    this.replace(this.source, bitmaps);
    this.#extension = extension;
    this.#parts.guard.bitmapDirectoryMoved(extension);
    this.#marked = false;
    this.#recording = bitmaps.flatMap(({ record, dirty }) =>
      dirty === undefined ? [] : [{ dirty, granularity: 2 ** record.granularityBits }],
    );
  }

  #markInUse(): Promise<void> {
    this.#marking ??= this.#writeMarks().finally(() => {
      this.#marking = undefined;
    });
    return this.#marking;
  }

  /** Only flags differ from what is there, so it does not matter how much of it a crash lets through. */
  async #writeMarks(): Promise<void> {
    this.#assertKnown();
    const { storage } = this.#parts;
    const marked = this.bitmaps.map(({ record, dirty }) =>
      dirty === undefined ? record : { ...record, flags: record.flags | FLAG.inUse },
    );
    await storage.write(serialiseDirectory(marked), this.#extension?.offset ?? 0);
    await storage.flush();
    this.#marked = true;
  }

  #assertKnown(): void {
    if (this.#unknown !== undefined) {
      throw new LamellaError('IO_ERROR', 'the bitmaps are in an unknown state', {
        location: this.source.storage.location,
        hint: 'The header could not be written or read; close the image and open it again.',
        cause: this.#unknown,
      });
    }
  }
}

/** Whether writes have to be recorded in a bitmap. */
function isRecording(flags: number): boolean {
  return (flags & (FLAG.auto | FLAG.inUse)) === FLAG.auto;
}

function sourceOf({ storage, header }: RecordingParts) {
  return { storage, scale: { size: header.size, clusterSize: 2 ** header.clusterBits } };
}
