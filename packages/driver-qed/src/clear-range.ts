import type { Storage, ZeroContext } from '@lamella/core';
import type { ChangeGate } from './change-gate.js';
import { entryAt, runLength, UNALLOCATED, ZERO } from './entries.js';
import { type Geometry, inSlice, SLICE_ENTRIES } from './geometry.js';
import type { Mapper } from './mapper.js';
import type { Tables } from './tables.js';

/** What a {@link ClearRange} works with. */
export interface ClearRangeParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly tables: Tables;
  readonly mapper: Mapper;
  readonly gate: ChangeGate;
}

/** Guest clusters that are mapped alike. */
interface GuestRun {
  /** Number of the first. */
  readonly cluster: number;
  readonly count: number;
  /** Entry of the first; data clusters follow each other in the file, others have the same entry. */
  readonly entry: number;
}

/**
 * Zeroes and discards whole clusters. Space is given back to the file system, but mappings stay: QED
 * has no record of free clusters, so what a mapping dropped would be lost.
 */
export class ClearRange {
  readonly #storage: Storage;
  readonly #tables: Tables;
  readonly #mapper: Mapper;
  readonly #gate: ChangeGate;
  readonly #clusterSize: number;
  readonly #tableEntries: number;

  constructor(parts: ClearRangeParts) {
    this.#storage = parts.storage;
    this.#tables = parts.tables;
    this.#mapper = parts.mapper;
    this.#gate = parts.gate;
    this.#clusterSize = parts.geometry.clusterSize;
    this.#tableEntries = parts.geometry.tableEntries;
  }

  /** See `Image.zero`. Every range can be done. */
  async zero(offset: number, length: number, context: ZeroContext): Promise<number> {
    await this.#each(offset, length, async ({ cluster, count, entry }) => {
      if (entry > ZERO) {
        const { unmap } = context;
        await this.#storage.writeZeroes(entry, count * this.#clusterSize, { unmap });
      } else if (entry === UNALLOCATED && !context.zeroBelow) {
        await this.#setZero(cluster, count);
      }
    });
    return length;
  }

  /** See `Image.discard`. */
  async discard(offset: number, length: number): Promise<void> {
    await this.#each(offset, length, async ({ count, entry }) => {
      if (entry > ZERO) {
        await this.#storage.discard(entry, count * this.#clusterSize);
      }
    });
  }

  /** Calls for each run of clusters; a cluster that the disk's end cuts counts as whole. */
  async #each(
    offset: number,
    length: number,
    action: (run: GuestRun) => Promise<void>,
  ): Promise<void> {
    const end = Math.ceil((offset + length) / this.#clusterSize);
    for (let cluster = Math.floor(offset / this.#clusterSize); cluster < end; ) {
      const run = await this.#runAt(cluster, end - cluster);
      await action(run);
      cluster += run.count;
    }
  }

  async #runAt(cluster: number, max: number): Promise<GuestRun> {
    const l1Index = Math.floor(cluster / this.#tableEntries);
    const l2Index = cluster - l1Index * this.#tableEntries;
    const table = await this.#tables.tableOf(l1Index);
    if (table === 0) {
      const count = Math.min(max, this.#tableEntries - l2Index);
      return { cluster, count, entry: UNALLOCATED };
    }
    const slice = await this.#tables.entriesOf(table, l2Index);
    const index = inSlice(l2Index);
    const entry = entryAt(slice, index);
    const count =
      entry > ZERO
        ? this.#tables.dataRun(slice, index, entry, max * this.#clusterSize)
        : runLength(slice, index, max, entry, 0);
    return { cluster, count, entry };
  }

  /** Marks unallocated clusters of one table as zero, slice by slice. */
  async #setZero(cluster: number, count: number): Promise<void> {
    for (let done = 0; done < count; ) {
      const first = cluster + done;
      const part = Math.min(count - done, SLICE_ENTRIES - (first % SLICE_ENTRIES));
      await this.#gate.pass();
      try {
        await this.#mapper.set(first, part, ZERO, 0);
      } finally {
        this.#gate.leave();
      }
      done += part;
    }
  }
}
