import { LamellaError, viewOf, writeUint64 } from '@lamella/core';
import { MAX_REFCOUNT_TABLE_BYTES } from '../header/header.js';
import { refcountTablePatch } from '../header/serialise.js';
import { refcountWidth } from '../refcount/refcount-width.js';
import type { CheckRun } from './check-run.js';
import { DiskRefcounts } from './disk-refcounts.js';
import { FreeSpace } from './free-space.js';

/**
 * Writes a whole new refcount structure from what was counted, into space that nothing uses, and points
 * the header to it when everything else is durable. The old one is left for the caller to free.
 *
 * @throws LamellaError `LIMIT_EXCEEDED`, `ABORTED`, and as `Storage.write`
 */
export async function rebuildRefcounts(run: CheckRun): Promise<DiskRefcounts> {
  const { storage, geometry } = run;
  const { clusterSize } = geometry;
  const plan = new Rebuild(run);
  const table = plan.place();
  await plan.writeBlocks();
  await storage.write(table.bytes, table.offset);
  await storage.flush();
  const clusters = table.bytes.length / clusterSize;
  const patch = refcountTablePatch(table.offset, clusters);
  await storage.write(patch.bytes, patch.offset);
  await storage.flush();
  return DiskRefcounts.read(storage, geometry, table.offset, clusters);
}

class Rebuild {
  readonly #run: CheckRun;
  readonly #space: FreeSpace;
  /** Byte offsets of the new blocks by their index in the table. */
  readonly #blocks = new Map<number, number>();
  /** Entries that the table needs for them. */
  #entries = 0;

  constructor(run: CheckRun) {
    this.#run = run;
    this.#space = new FreeSpace(run);
  }

  /** Finds room for all blocks and the table, which need blocks of their own. */
  place(): { readonly offset: number; readonly bytes: Uint8Array } {
    const { clusterSize } = this.#run.geometry;
    this.#placeBlocks(0, this.#run.counts.length);
    for (;;) {
      const entries = this.#entries;
      const clusters = Math.ceil((entries * 8) / clusterSize);
      if (clusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES) {
        throw new LamellaError('LIMIT_EXCEEDED', 'the refcount table would pass 8 MiB', {
          location: this.#run.storage.location,
          hint: 'Convert the image with qemu-img convert.',
        });
      }
      this.#space.restart();
      const first = this.#space.take(clusters);
      this.#placeBlocks(first, first + clusters);
      const needed = Math.ceil((this.#entries * 8) / clusterSize);
      if (needed <= clusters) {
        return { offset: first * clusterSize, bytes: this.#table(clusters * clusterSize) };
      }
      this.#space.giveBack(first, clusters);
    }
  }

  /** Makes sure that every cluster in use within a range has a block; taking one may extend the range. */
  #placeBlocks(first: number, end: number): void {
    const { refcountBlockEntries } = this.#run.geometry;
    const { counts } = this.#run;
    let limit = end;
    for (let cluster = counts.nextUsed(first, limit); cluster < limit; ) {
      const index = Math.floor(cluster / refcountBlockEntries);
      if (!this.#blocks.has(index)) {
        this.#space.startFrom(index * refcountBlockEntries);
        this.#blocks.set(index, this.#space.take(1) * this.#run.geometry.clusterSize);
        this.#entries = Math.max(this.#entries, index + 1);
        limit = Math.max(limit, counts.length);
      }
      cluster = counts.nextUsed((index + 1) * refcountBlockEntries, limit);
    }
  }

  async writeBlocks(): Promise<void> {
    const { storage, geometry, counts } = this.#run;
    const { clusterSize, refcountBlockEntries } = geometry;
    const width = refcountWidth(geometry.refcountBits);
    for (const [index, offset] of this.#blocks) {
      this.#run.step();
      const view = viewOf(new Uint8Array(clusterSize));
      const first = index * refcountBlockEntries;
      const end = Math.min(first + refcountBlockEntries, counts.length);
      let cluster = counts.nextUsed(first, end);
      while (cluster < end) {
        width.set(view, cluster - first, counts.get(cluster));
        cluster = counts.nextUsed(cluster + 1, end);
      }
      await storage.write(new Uint8Array(view.buffer), offset);
    }
    await storage.flush();
  }

  #table(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const view = viewOf(bytes);
    for (const [index, offset] of this.#blocks) {
      writeUint64(view, index * 8, offset, 'big');
    }
    return bytes;
  }
}
