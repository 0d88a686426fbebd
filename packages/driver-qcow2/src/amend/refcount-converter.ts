import {
  LamellaError,
  type LongOperation,
  throwIfAborted,
  viewOf,
  writeUint64,
} from '@lamella/core';
import { unsupported } from '../errors.js';
import { type Header, MAX_REFCOUNT_TABLE_BYTES } from '../header/header.js';
import { readHeader } from '../header/parse.js';
import { rewriteHeader } from '../header/rewrite.js';
import { type RefcountWidth, refcountWidth } from '../refcount/refcount-width.js';
import type { WriteParts } from '../write-parts.js';

/**
 * Writes the refcounts anew in another width, behind everything that is in use, and points the header there.
 * The old structure counts nothing of the new one, and the new one nothing of the old, so a crash leaks
 * nothing but the file's end.
 */
export class RefcountConverter {
  readonly #parts: WriteParts;
  readonly #order: number;
  readonly #width: RefcountWidth;
  readonly #perBlock: number;
  readonly #operation: LongOperation;
  /** Clusters of the old structure. */
  readonly #old = new Set<number>();
  /** Indexes of the new blocks that count something old. */
  readonly #needed = new Set<number>();
  #end = 0;

  constructor(parts: WriteParts, order: number, operation: LongOperation) {
    this.#parts = parts;
    this.#order = order;
    this.#width = refcountWidth(2 ** order);
    this.#perBlock = (parts.geometry.clusterSize * 8) / 2 ** order;
    this.#operation = operation;
  }

  /**
   * @throws LamellaError `UNSUPPORTED` for a refcount that does not fit (nothing was changed),
   * `LIMIT_EXCEEDED`, `NO_SPACE`, `ABORTED`, `CORRUPT`, `IO_ERROR`
   */
  async convert(): Promise<void> {
    const { storage } = this.#parts;
    this.#noteOld();
    await this.#survey();
    const { size } = storage;
    try {
      await this.#write();
    } catch (error) {
      if (storage.size > size && (await readHeader(storage)).refcountOrder !== this.#order) {
        await Promise.resolve(storage.truncate(size)).catch(() => undefined);
      }
      throw error;
    }
  }

  #noteOld(): void {
    const { refcounts, geometry } = this.#parts;
    const { table } = refcounts;
    const { clusterSize } = geometry;
    for (let at = table.offset; at < table.offset + table.length * 8; at += clusterSize) {
      this.#old.add(at / clusterSize);
    }
    for (let index = 0; index < table.length; index += 1) {
      if (table.get(index) > 0) {
        this.#old.add(table.get(index) / clusterSize);
      }
    }
  }

  /** Looks at every refcount: whether it fits, and where the last cluster in use is. */
  async #survey(): Promise<void> {
    const { storage, geometry } = this.#parts;
    await this.#each((cluster, refcount) => {
      this.#end = Math.max(this.#end, cluster + 1);
      if (this.#old.has(cluster)) {
        return;
      }
      if (refcount > this.#width.max) {
        throw unsupported(
          storage.location,
          `the cluster at byte ${cluster * geometry.clusterSize} has a refcount of ${refcount}, which does not fit into ${2 ** this.#order} bits`,
          'Delete snapshots, or choose wider refcounts.',
        );
      }
      this.#needed.add(Math.floor(cluster / this.#perBlock));
    });
  }

  /** Calls back for every cluster whose refcount is not 0, in order. */
  async #each(visit: (cluster: number, refcount: number) => void): Promise<void> {
    const { refcounts, geometry, storage } = this.#parts;
    const { refcountBlockEntries, refcountSliceEntries } = geometry;
    for (let index = 0; index < refcounts.table.length; index += 1) {
      if (refcounts.table.get(index) === 0) {
        continue;
      }
      throwIfAborted(this.#operation.signal, storage.location);
      const first = index * refcountBlockEntries;
      for (let at = first; at < first + refcountBlockEntries; at += refcountSliceEntries) {
        const slice = await refcounts.cache.load(refcounts.sliceOffset(at));
        for (let cluster = at; cluster < at + refcountSliceEntries; cluster += 1) {
          const refcount = refcounts.in(slice, cluster);
          if (refcount !== 0) {
            visit(cluster, refcount);
          }
        }
      }
      this.#operation.onProgress?.({ done: index + 1, total: refcounts.table.length });
    }
  }

  async #write(): Promise<void> {
    const { storage, geometry } = this.#parts;
    const { clusterSize } = geometry;
    const { blocks, tableClusters } = this.#plan();
    const places = new Map(blocks.map((index, i) => [index, (this.#end + i) * clusterSize]));
    const tableOffset = (this.#end + blocks.length) * clusterSize;
    await this.#writeBlocks(places, this.#end + blocks.length + tableClusters);
    const table = viewOf(new Uint8Array(tableClusters * clusterSize));
    for (const [index, offset] of places) {
      writeUint64(table, index * 8, offset, 'big');
    }
    await storage.write(new Uint8Array(table.buffer), tableOffset);
    const header: Header = await readHeader(storage);
    await rewriteHeader(storage, {
      ...header,
      refcountOrder: this.#order,
      refcountTableOffset: tableOffset,
      refcountTableClusters: tableClusters,
    });
  }

  /** The blocks that are needed for what is there and for themselves and the table. */
  #plan(): { readonly blocks: readonly number[]; readonly tableClusters: number } {
    const { storage, geometry } = this.#parts;
    const needed = new Set(this.#needed);
    let tableClusters = 1;
    for (;;) {
      const last = this.#end + needed.size + tableClusters - 1;
      const before = needed.size;
      for (
        let index = Math.floor(this.#end / this.#perBlock);
        index <= Math.floor(last / this.#perBlock);
        index += 1
      ) {
        needed.add(index);
      }
      const entries = Math.floor(last / this.#perBlock) + 1;
      const clusters = Math.ceil((entries * 8) / geometry.clusterSize);
      if (needed.size === before && clusters <= tableClusters) {
        break;
      }
      tableClusters = Math.max(tableClusters, clusters);
    }
    if (tableClusters * geometry.clusterSize > MAX_REFCOUNT_TABLE_BYTES) {
      throw new LamellaError('LIMIT_EXCEEDED', 'the refcount table would pass 8 MiB', {
        location: storage.location,
        hint: 'Choose narrower refcounts, or convert the image to larger clusters.',
      });
    }
    return { blocks: [...needed].sort((a, b) => a - b), tableClusters };
  }

  async #writeBlocks(places: ReadonlyMap<number, number>, end: number): Promise<void> {
    const { geometry, storage, refcounts } = this.#parts;
    for (const [index, offset] of places) {
      throwIfAborted(this.#operation.signal, storage.location);
      const view = viewOf(new Uint8Array(geometry.clusterSize));
      const first = index * this.#perBlock;
      for (let cluster = first; cluster < Math.min(first + this.#perBlock, end); ) {
        const next = await this.#copyCounts(view, first, cluster, refcounts.sliceOffset(cluster));
        cluster = next;
      }
      for (
        let cluster = Math.max(first, this.#end);
        cluster < Math.min(first + this.#perBlock, end);
        cluster += 1
      ) {
        this.#width.set(view, cluster - first, 1);
      }
      await storage.write(new Uint8Array(view.buffer), offset);
    }
  }

  /** Takes over the counts of one old slice, as far as the new block reaches; gives the first cluster behind. */
  async #copyCounts(
    view: DataView,
    first: number,
    from: number,
    sliceOffset: number,
  ): Promise<number> {
    const { refcounts, geometry } = this.#parts;
    const unit = geometry.refcountSliceEntries;
    const stop = Math.min(first + this.#perBlock, from - (from % unit) + unit);
    if (sliceOffset !== 0) {
      const slice = await refcounts.cache.load(sliceOffset);
      for (let cluster = from; cluster < stop; cluster += 1) {
        const refcount = refcounts.in(slice, cluster);
        if (refcount !== 0 && !this.#old.has(cluster)) {
          this.#width.set(view, cluster - first, refcount);
        }
      }
    }
    return stop;
  }
}
