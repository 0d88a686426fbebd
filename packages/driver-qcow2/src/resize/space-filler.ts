import {
  type CachedSlice,
  type LongOperation,
  type Preallocation,
  reserveZeroes,
  throwIfAborted,
} from '@lamella/core';
import { type GuestPosition, locate } from '../mapping/guest-position.js';
import { ownedHigh, ownedLow, ZERO_FLAG } from '../mapping/l2-entry.js';
import { ALL_SUBCLUSTERS } from '../mapping/subclusters.js';
import type { AllocatedRun } from '../refcount/allocator.js';
import type { WriteParts } from '../write-parts.js';

/**
 * Gives host clusters that read as zeroes to a part of the disk that has none.
 *
 * Under a cipher zeroes stored would read as noise; the clusters are marked as zeroes instead. An external data
 * file has the zeroes in place already.
 */
export class SpaceFiller {
  readonly #parts: WriteParts;
  readonly #preallocation: Preallocation;
  readonly #operation: LongOperation;
  /** How far the file has to reach, so that every cluster is within it. */
  #end = 0;

  constructor(parts: WriteParts, preallocation: Preallocation, operation: LongOperation) {
    this.#parts = parts;
    this.#preallocation = preallocation;
    this.#operation = operation;
  }

  /**
   * @param start - byte of the disk, a multiple of the cluster size; nothing is allocated from here on
   * @param end - byte behind, rounded up to whole clusters
   * @throws LamellaError `ABORTED`, `NO_SPACE`, `LIMIT_EXCEEDED`, `CORRUPT`, `IO_ERROR`
   */
  async fill(start: number, end: number): Promise<void> {
    const { geometry, storage, pressure } = this.#parts;
    const { signal, onProgress } = this.#operation;
    for (let offset = start; offset < end; ) {
      throwIfAborted(signal, storage.location);
      if (pressure.high) {
        await this.#extendFile();
        await pressure.relieve();
      }
      const clusters = Math.ceil((end - offset) / geometry.clusterSize);
      offset += await this.#fillRun(offset, clusters);
      onProgress?.({ done: Math.min(offset, end) - start, total: end - start });
    }
    await this.#extendFile();
  }

  async #fillRun(offset: number, clusters: number): Promise<number> {
    const { geometry, space, writer } = this.#parts;
    const at = locate(geometry, offset);
    const run = await space.allocate(offset, Math.min(clusters, geometry.sliceEntries - at.entry));
    const bytes = run.count * geometry.clusterSize;
    try {
      await this.#makeZeroes(run, bytes);
      const slice = await this.#writable(at);
      for (let i = 0; i < run.count; i += 1) {
        this.#enter(slice, at.entry + i, run.offset + i * geometry.clusterSize);
      }
      writer.tables.cache.markDirty(slice);
    } catch (error) {
      writer.giveUp(run.offset, bytes);
      throw error;
    }
    return bytes;
  }

  async #makeZeroes(run: AllocatedRun, bytes: number): Promise<void> {
    const { storage, geometry } = this.#parts;
    if (geometry.externalData) {
      return;
    }
    const end = run.offset + bytes;
    this.#end = Math.max(this.#end, end);
    if (this.#preallocation === 'falloc' || this.#preallocation === 'full') {
      const { signal } = this.#operation;
      await reserveZeroes(storage, run.offset, end, this.#preallocation, { signal });
    } else if (!run.fresh) {
      await storage.writeZeroes(run.offset, bytes);
    }
  }

  async #writable({ l1Index, sliceIndex }: GuestPosition): Promise<CachedSlice> {
    const { tables } = this.#parts;
    for (;;) {
      const slice = tables.writable(l1Index, sliceIndex);
      if (slice !== undefined) {
        return slice;
      }
      await tables.prepare(l1Index, sliceIndex);
    }
  }

  #enter(slice: CachedSlice, index: number, host: number): void {
    const { entries, geometry, encryption } = this.#parts;
    const marked = encryption !== undefined && geometry.hasZeroFlag;
    if (geometry.extended) {
      entries.set(slice, index, ownedHigh(host), ownedLow(host));
      entries.setBitmap(slice, index, marked ? ALL_SUBCLUSTERS : 0, marked ? 0 : ALL_SUBCLUSTERS);
    } else {
      entries.set(slice, index, ownedHigh(host), ownedLow(host) + (marked ? ZERO_FLAG : 0));
    }
  }

  async #extendFile(): Promise<void> {
    const { storage } = this.#parts;
    if (storage.size < this.#end) {
      await storage.truncate(this.#end);
    }
  }
}
