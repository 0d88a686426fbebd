import { readUint64, type Storage, viewOf } from '@lamella/core';
import type { Allocator, HostRun } from './allocator.js';
import { entryAt, UNALLOCATED, unallocatedLength } from './entries.js';
import type { Flusher } from './flusher.js';
import { ENTRY_SIZE, type Geometry, inSlice, SLICE_ENTRIES } from './geometry.js';
import type { Mapper } from './mapper.js';
import type { Tables } from './tables.js';

/** Most runs of free clusters that one call parks. */
const MAX_RUNS = 4096;
/** Bytes of zeroes that one call may have to write where space can't be given back. */
const MAX_WRITTEN = 256 * 1024 * 1024;
/** Most bytes that are zeroed at once. */
const PIECE = 64 * 1024 * 1024;

/** How many clusters, wherever they are, one call of {@link ParkingLot.fill} parks at least. */
export function parkable({ clusterSize }: Geometry): number {
  return Math.min(MAX_RUNS, Math.floor(MAX_WRITTEN / clusterSize));
}

/** What a {@link ParkingLot} works with. */
export interface ParkingLotParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly tables: Tables;
  readonly mapper: Mapper;
  readonly allocator: Allocator;
  readonly flusher: Flusher;
}

/** Neighbouring guest clusters behind the disk's end that are not mapped, all of one slice. */
interface Spaces {
  /** Number of the first guest cluster. */
  readonly cluster: number;
  readonly count: number;
}

/**
 * Table entries behind the disk's end. QED has no record of free clusters, and one that nothing refers to
 * counts as leaked; here they are referred to, as zeroes, without the disk having changed. Growing the
 * disk shows zeroes there, as it has to.
 */
export class ParkingLot {
  readonly #parts: ParkingLotParts;

  constructor(parts: ParkingLotParts) {
    this.#parts = parts;
  }

  /**
   * Parks the free list, or as much of it as a moment's work can. The image is marked as in need of a
   * check, no change is under way, and the caller flushes.
   *
   * @param diskSize - bytes of the guest's disk
   * @returns whether a later call can do more
   * @throws LamellaError as `Storage.writeZeroes`, `Storage.read` and `Storage.flush`; `CORRUPT`,
   * `LIMIT_EXCEEDED`, `NO_SPACE`
   */
  async fill(diskSize: number): Promise<boolean> {
    const { geometry, allocator, mapper, tables, flusher } = this.#parts;
    const { clusterSize } = geometry;
    const longest = Math.max(1, Math.floor(PIECE / clusterSize));
    let position = Math.ceil(diskSize / clusterSize);
    let written = 0;
    allocator.preferLong();
    for (let runs = 0; runs < MAX_RUNS && written < MAX_WRITTEN && allocator.hasFree; runs += 1) {
      const spaces = await this.#spacesFrom(position);
      if (spaces === undefined) {
        return false;
      }
      const run = allocator.takeFree(Math.min(spaces.count, longest));
      if (run === undefined) {
        break;
      }
      try {
        written += await this.#zero(run);
        await mapper.set(spaces.cluster, run.count, run.offset, clusterSize);
      } catch (error) {
        allocator.release(run);
        throw error;
      }
      position = spaces.cluster + run.count;
      if (tables.cache.overfull) {
        await flusher.flush();
      }
    }
    return allocator.hasFree;
  }

  /** The first entries from a guest cluster on that are not in use; tables are made where none are. */
  async #spacesFrom(cluster: number): Promise<Spaces | undefined> {
    const { tableEntries } = this.#parts.geometry;
    const { mapper, tables } = this.#parts;
    for (let position = cluster; ; ) {
      const l1Index = Math.floor(position / tableEntries);
      if (l1Index >= tableEntries) {
        return undefined;
      }
      const l2Index = position - l1Index * tableEntries;
      const table = await mapper.tableFor(l1Index);
      const slice = await tables.entriesOf(table, l2Index);
      for (let index = inSlice(l2Index); index < SLICE_ENTRIES; index += 1) {
        if (entryAt(slice, index) === UNALLOCATED) {
          const count = unallocatedLength(slice, index);
          return { cluster: position + index - inSlice(l2Index), count };
        }
      }
      position += SLICE_ENTRIES - inSlice(l2Index);
    }
  }

  /** Makes a run read as zeroes; tells how many bytes of it had to be written. */
  async #zero({ offset, count }: HostRun): Promise<number> {
    const { storage, geometry } = this.#parts;
    const length = count * geometry.clusterSize;
    if (await this.#isHole(offset, length)) {
      return 0;
    }
    await storage.writeZeroes(offset, length, { unmap: true });
    return (await this.#isHole(offset, length)) ? 0 : length;
  }

  async #isHole(offset: number, length: number): Promise<boolean> {
    const extent = await this.#parts.storage.map(offset, length);
    return extent.kind === 'hole' && extent.length === length;
  }
}

/**
 * Drops all entries behind the disk's end, durably. The image is marked as in need of a check, and a scan
 * found nothing wrong: nobody else uses what they refer to.
 *
 * @param diskSize - bytes of the guest's disk
 * @throws LamellaError as `Storage.read`, `Storage.writeZeroes` and `Storage.flush`
 */
export async function clearParkingLot(
  storage: Storage,
  geometry: Geometry,
  diskSize: number,
): Promise<void> {
  const { clusterSize, l1Offset, tableBytes, tableEntries } = geometry;
  const behind = Math.ceil(diskSize / clusterSize);
  const firstTable = Math.ceil(behind / tableEntries);
  const l2Index = behind % tableEntries;
  if (l2Index > 0) {
    const table = await tableAt(storage, l1Offset + (firstTable - 1) * ENTRY_SIZE);
    if (table !== UNALLOCATED) {
      await clearEntries(storage, table, l2Index, tableEntries);
    }
  }
  await clearEntries(storage, l1Offset, firstTable, tableBytes / ENTRY_SIZE);
  await storage.flush();
}

async function clearEntries(
  storage: Storage,
  table: number,
  from: number,
  to: number,
): Promise<void> {
  if (to > from) {
    await storage.writeZeroes(table + from * ENTRY_SIZE, (to - from) * ENTRY_SIZE);
  }
}

async function tableAt(storage: Storage, position: number): Promise<number> {
  const field = new Uint8Array(ENTRY_SIZE);
  await storage.read(field, position);
  return readUint64(viewOf(field), 0, 'little', {
    name: 'an L1 table entry',
    location: storage.location,
  });
}
