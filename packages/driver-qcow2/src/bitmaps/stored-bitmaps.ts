import {
  type AddBitmapOptions,
  type BitmapInfo,
  type BitmapStore,
  type ByteRange,
  LamellaError,
  type Storage,
  TableLocks,
} from '@lamella/core';
import type { BitRun } from './bit-runs.js';
import { type Chunk, chunkBits, chunkBytes, chunkRuns, readChunk } from './chunk.js';
import { type BitmapRecord, FLAG } from './directory.js';
import type { DirtyBits } from './dirty-bits.js';
import type { BitmapScale } from './limits.js';
import { type LoadedBitmaps } from './loaded.js';
import { TableReader } from './table.js';

/** Everything that changes or looks at stored bits takes turns under this number. */
export const STORED_BITS = 0;

/** A bitmap in memory: what is stored and which bits were set since. */
export interface Bitmap {
  readonly record: BitmapRecord;
  /** Undefined for a bitmap that does not change. */
  readonly dirty?: DirtyBits | undefined;
}

/** What bitmaps are read from. */
export interface BitmapSource {
  readonly storage: Storage;
  readonly scale: BitmapScale;
}

/** The bitmaps of an image that is open for reading. */
export class StoredBitmaps implements BitmapStore {
  protected source: BitmapSource;
  protected bitmaps: readonly Bitmap[];
  protected readonly locks = new TableLocks();
  #failure: LamellaError | undefined;
  /** Changes whenever tables may have moved. */
  #version = 0;

  constructor(source: BitmapSource, loaded: LoadedBitmaps) {
    this.source = source;
    this.bitmaps = loaded.records.map((record) => ({ record }));
    this.#failure = loaded.failure;
  }

  list(): readonly BitmapInfo[] {
    this.assertUsable();
    return this.bitmaps.map(({ record: { name, flags, granularityBits } }) => ({
      name,
      granularity: 2 ** granularityBits,
      recording: (flags & FLAG.auto) !== 0,
      inconsistent: (flags & FLAG.inUse) !== 0,
    }));
  }

  async *ranges(name: string): AsyncGenerator<ByteRange, void, undefined> {
    const { granularityBits } = this.find(name).record;
    let open: { first: number; end: number } | undefined;
    for await (const { first, runs } of this.#chunks(name)) {
      for (const run of runs) {
        if (open !== undefined && open.end === first + run.first) {
          open.end = first + run.end;
        } else {
          if (open !== undefined) {
            yield this.#bytes(open, granularityBits);
          }
          open = { first: first + run.first, end: first + run.end };
        }
      }
    }
    if (open !== undefined) {
      yield this.#bytes(open, granularityBits);
    }
  }

  async add(_options: AddBitmapOptions): Promise<void> {
    throw this.#readOnly();
  }

  async remove(_name: string): Promise<void> {
    throw this.#readOnly();
  }

  async clear(_name: string): Promise<void> {
    throw this.#readOnly();
  }

  async setRecording(_name: string, _recording: boolean): Promise<void> {
    throw this.#readOnly();
  }

  async merge(_target: string, _sources: readonly string[]): Promise<void> {
    throw this.#readOnly();
  }

  async mergeRanges(_target: string, _ranges: AsyncIterable<ByteRange>): Promise<void> {
    throw this.#readOnly();
  }

  /**
   * The consistent bitmap of a name.
   *
   * @throws LamellaError `NOT_FOUND`, `CORRUPT`
   */
  protected find(name: string): Bitmap {
    const bitmap = this.findAny(name);
    if ((bitmap.record.flags & FLAG.inUse) !== 0) {
      throw new LamellaError('CORRUPT', `the bitmap '${name}' is inconsistent`, {
        location: this.source.storage.location,
        hint: 'The image was not closed cleanly; remove the bitmap and start with a full backup.',
      });
    }
    return bitmap;
  }

  /**
   * The bitmap of a name, consistent or not.
   *
   * @throws LamellaError `NOT_FOUND`
   */
  protected findAny(name: string): Bitmap {
    this.assertUsable();
    const bitmap = this.bitmaps.find(({ record }) => record.name === name);
    if (bitmap === undefined) {
      throw new LamellaError('NOT_FOUND', `there is no bitmap '${name}'`, {
        location: this.source.storage.location,
        hint: `Bitmaps of the image: ${this.bitmaps.map(({ record }) => record.name).join(', ') || 'none'}.`,
      });
    }
    return bitmap;
  }

  /** @throws LamellaError when the bitmaps could not be read */
  protected assertUsable(): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }

  /** Goes on with other bitmaps, or the same ones elsewhere. */
  protected replace(source: BitmapSource, bitmaps: readonly Bitmap[]): void {
    this.source = source;
    this.bitmaps = bitmaps;
    this.#version += 1;
  }

  /** The bits of a bitmap piece by piece, each as it is when its turn comes. */
  async *#chunks(
    name: string,
  ): AsyncGenerator<{ readonly first: number; readonly runs: Iterable<BitRun> }, void, undefined> {
    let reader: { readonly table: TableReader; readonly version: number } | undefined;
    for (let index = 0; ; index += 1) {
      const { record } = this.find(name);
      const bits = chunkBits(this.source.scale, record.granularityBits, index);
      if (bits.count === 0) {
        return;
      }
      const chunk = await this.locks.exclusive(STORED_BITS, async () => {
        const bitmap = this.find(name);
        if (reader?.version !== this.#version) {
          const { storage, scale } = this.source;
          const table = new TableReader(storage, scale.clusterSize, bitmap.record.table);
          reader = { table, version: this.#version };
        }
        return this.#chunk(bitmap, await reader.table.entry(index), bits.first, bits.count);
      });
      yield { first: bits.first, runs: chunkRuns(chunk, bits.count) };
    }
  }

  async #chunk({ dirty }: Bitmap, entry: number, first: number, count: number): Promise<Chunk> {
    const { storage, scale } = this.source;
    const chunk = await readChunk(storage, entry, scale.clusterSize);
    if (dirty?.touches(first, count) !== true) {
      return chunk;
    }
    const bytes = chunkBytes(chunk, scale.clusterSize);
    dirty.orInto(bytes, first);
    return bytes;
  }

  #bytes({ first, end }: BitRun, granularityBits: number): ByteRange {
    const offset = first * 2 ** granularityBits;
    return {
      offset,
      length: Math.min(end * 2 ** granularityBits, this.source.scale.size) - offset,
    };
  }

  #readOnly(): LamellaError {
    return new LamellaError('READ_ONLY', 'the image was opened read-only', {
      location: this.source.storage.location,
      hint: 'Open it with { writable: true } to change its bitmaps.',
    });
  }
}
