import { LamellaError, viewOf } from '@lamella/core';
import { corrupt } from '../errors.js';
import type { Leftovers } from '../refcount/leftovers.js';
import type { PointerTable } from '../tables/pointer-table.js';
import { RunWriter } from '../tables/run-writer.js';
import type { ChangeParts } from './change-parts.js';
import { ReferenceDeltas } from './reference-deltas.js';
import { TableWalk, type WholeTable } from './table-walk.js';

/** Clusters whose changes are in memory at a time: 64 MiB at most. */
const WINDOW = 2 ** 24;
/** Most bytes and number of refcount blocks read at once. */
const MAX_BATCH = 4 * 1024 * 1024;
const MAX_READS = 64;

/** References of an L1 table that appear or go. */
export interface ReferenceSource {
  readonly l1: PointerTable;
  /** Entries that count, from the first on. */
  readonly length: number;
  /** 1 if they appear, -1 if they go. */
  readonly by: 1 | -1;
  /** Whether the reference to the table itself counts; true by default. */
  readonly countsTable?: (table: WholeTable) => boolean;
}

interface Block {
  /** Index into the refcount table. */
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/**
 * A change of very many refcounts: planned and found possible without changing anything, and then made in
 * copies of the refcount blocks, one sweep over the host clusters each. However large the image, the memory
 * is that of one window of clusters.
 */
export class ReferenceChange {
  /** Indexes of the refcount blocks that change, ascending; known after {@link plan}. */
  readonly changedBlocks: number[] = [];
  readonly #parts: ChangeParts;
  readonly #sources: readonly ReferenceSource[];
  readonly #walk: TableWalk;
  /** First clusters of the windows in which something changes. */
  readonly #windows: number[] = [];
  #deltas: ReferenceDeltas | undefined;

  constructor(parts: ChangeParts, sources: readonly ReferenceSource[]) {
    this.#parts = parts;
    this.#sources = sources;
    this.#walk = new TableWalk(parts);
  }

  /**
   * Finds out what changes.
   *
   * @param look - sees the changes of each window
   * @throws LamellaError `LIMIT_EXCEEDED` when a refcount would not fit, `CORRUPT` when one is wrong or a
   * table is broken, `IO_ERROR`
   */
  async plan(look?: (deltas: ReferenceDeltas) => Promise<void>): Promise<void> {
    for (let first = 0; Number.isFinite(first); ) {
      const deltas = await this.#window(first);
      this.#windows.push(first);
      for await (const blocks of this.#blocks(deltas)) {
        for (const block of blocks) {
          if (this.#apply(block, deltas, () => undefined)) {
            this.changedBlocks.push(block.index);
          }
        }
      }
      await look?.(deltas);
      first = Math.floor(deltas.beyond / WINDOW) * WINDOW;
    }
  }

  /**
   * Writes changed copies of the refcount blocks. The old ones were flushed.
   *
   * @param places - byte offsets for the blocks of {@link changedBlocks}
   * @param leftovers - learns of the clusters that are free then
   * @returns the refcount table that leads to the copies, not yet written
   * @throws LamellaError `CORRUPT`, `IO_ERROR`, `NO_SPACE`
   */
  async write(places: Float64Array, table: PointerTable, leftovers: Leftovers): Promise<void> {
    const writer = new RunWriter(this.#parts.storage);
    let position = 0;
    for (const first of this.#windows) {
      const deltas = this.#deltas?.first === first ? this.#deltas : await this.#window(first);
      for await (const blocks of this.#blocks(deltas)) {
        for (const block of blocks) {
          if (this.#apply(block, deltas, (cluster) => leftovers.freed(cluster, 1))) {
            const place = places[position] ?? 0;
            writer.add(place, block.bytes);
            table.set(block.index, place);
            position += 1;
          }
        }
        await writer.write();
      }
    }
  }

  async #window(first: number): Promise<ReferenceDeltas> {
    this.#deltas = undefined;
    const { storage, refcounts, geometry } = this.#parts;
    const deltas = new ReferenceDeltas(first, WINDOW);
    const limit = refcounts.table.length * geometry.refcountBlockEntries;
    for (const { l1, length, by, countsTable } of this.#sources) {
      for await (const tables of this.#walk.batches(l1, length)) {
        for (const table of tables) {
          const note = (run: number, count: number) => {
            if (run + count > limit) {
              throw corrupt(storage.location, table.offset, `no refcount for cluster ${run}`);
            }
            deltas.add(run, count, by);
          };
          if (countsTable === undefined || countsTable(table)) {
            note(table.offset / geometry.clusterSize, 1);
          }
          this.#walk.references(table, note);
        }
      }
    }
    this.#deltas = deltas;
    return deltas;
  }

  /** The refcount blocks of a window in which something may change, in batches. */
  async *#blocks(deltas: ReferenceDeltas): AsyncGenerator<readonly Block[], void, undefined> {
    const { refcounts, geometry } = this.#parts;
    const perBlock = geometry.refcountBlockEntries;
    const end = Math.min(Math.ceil(deltas.end / perBlock), refcounts.table.length);
    let reads: Promise<Block>[] = [];
    for (let index = deltas.first / perBlock; index < end; index += 1) {
      if (deltas.mayTouch(index * perBlock, (index + 1) * perBlock)) {
        reads.push(this.#read(index));
        if (reads.length === MAX_READS || reads.length * geometry.clusterSize >= MAX_BATCH) {
          yield await Promise.all(reads);
          reads = [];
        }
      }
    }
    yield await Promise.all(reads);
  }

  /** A refcount block; one that is not there counts nothing. */
  async #read(index: number): Promise<Block> {
    const { storage, refcounts, geometry } = this.#parts;
    const bytes = new Uint8Array(geometry.clusterSize);
    const offset = refcounts.sliceOffset(index * geometry.refcountBlockEntries);
    if (offset !== 0) {
      await storage.read(bytes, offset);
    }
    return { index, bytes, view: viewOf(bytes) };
  }

  /**
   * Makes the changes in a block.
   *
   * @param freed - told of clusters whose refcount falls to 0
   * @returns whether there were any
   */
  #apply(block: Block, deltas: ReferenceDeltas, freed: (cluster: number) => void): boolean {
    const { width } = this.#parts.refcounts;
    const perBlock = this.#parts.geometry.refcountBlockEntries;
    const first = block.index * perBlock;
    let changed = false;
    for (let at = 0; at < perBlock; ) {
      const part = deltas.part(first + at, perBlock - at);
      for (let i = 0; part.deltas !== undefined && i < part.length; i += 1) {
        const delta = part.deltas[i] ?? 0;
        if (delta !== 0) {
          const old = width.get(block.view, at + i);
          this.#assertPossible(first + at + i, old, old + delta);
          width.set(block.view, at + i, old + delta);
          changed = true;
          if (old + delta === 0) {
            freed(first + at + i);
          }
        }
      }
      at += part.length;
    }
    return changed;
  }

  #assertPossible(cluster: number, old: number, value: number): void {
    const { storage, refcounts, geometry } = this.#parts;
    const { location } = storage;
    const offset = cluster * geometry.clusterSize;
    if (old === 0 || value < 0 || old > refcounts.width.max) {
      throw corrupt(location, offset, `host cluster ${cluster} is in use at refcount ${old}`);
    }
    if (value > refcounts.width.max) {
      throw new LamellaError(
        'LIMIT_EXCEEDED',
        `refcounts of ${geometry.refcountBits} bits cannot count ${value} references to one cluster`,
        {
          location,
          offset,
          hint: 'Delete a snapshot, or convert the image to wider refcounts (refcount_bits).',
        },
      );
    }
  }
}
