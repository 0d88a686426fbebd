import { alignDown, LamellaError, type Storage, viewOf } from '@lamella/core';
import type { HostRun } from './allocator.js';
import { ClusterSet } from './cluster-set.js';
import { UNALLOCATED, ZERO } from './entries.js';
import { ENTRY_SIZE, type Geometry } from './geometry.js';

/** Most clusters of a file that is checked: the bitmap takes at most 512 MiB. */
const MAX_CLUSTERS = 2 ** 32;
/** Bytes of a table that are read at once. */
const CHUNK = 256 * 1024;
/** Most runs of unused clusters that a result lists. */
const MAX_LISTED_RUNS = 65536;

const TWO_32 = 0x1_0000_0000;

/** What is wrong with an image (specification: "Consistency checking"). */
export interface CheckResult {
  /** Entries that contradict the specification, repaired ones included. */
  readonly corruptions: number;
  /** Of those, entries that clearing repairs: they point to no whole cluster of their own. */
  readonly repairable: number;
  /** Of those, entries that were cleared. */
  readonly fixed: number;
  /** Clusters that nothing refers to. */
  readonly leaks: number;
  /** Clusters with data. */
  readonly dataClusters: number;
  /** Runs of leaked clusters before {@link CheckResult.end}, at most 65536 of them. */
  readonly leakedRuns: readonly HostRun[];
  /** Byte offset behind the last cluster that something refers to. */
  readonly end: number;
}

/** How a check is made. */
export interface CheckOptions {
  /** Clear entries that point where nothing can be, which makes the range read from the backing file. */
  readonly repair: boolean;
}

/**
 * Walks all tables: each must lie within the file, aligned, and each cluster be referred to once at
 * most. Nothing else may use the image meanwhile, and the storage must hold all changes. Repairs are
 * written but not flushed.
 *
 * Memory: one bit per referenced cluster and 512 KiB.
 *
 * @throws LamellaError `LIMIT_EXCEEDED` for a file of more than 2^32 clusters, and as `Storage.read`
 * and `Storage.write`
 */
export async function checkImage(
  storage: Storage,
  geometry: Geometry,
  options: CheckOptions,
): Promise<CheckResult> {
  const clusters = Math.floor(storage.size / geometry.clusterSize);
  if (clusters > MAX_CLUSTERS) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `the file has ${clusters} clusters; at most ${MAX_CLUSTERS} can be checked`,
      { location: storage.location, hint: 'Check the image with another program.' },
    );
  }
  return new Checker(storage, geometry, options).run();
}

class Checker {
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #repair: boolean;
  readonly #fileEnd: number;
  /** Clusters behind the header, counted from there. */
  readonly #used = new ClusterSet();
  #corruptions = 0;
  #repairable = 0;
  #fixed = 0;
  #dataClusters = 0;

  constructor(storage: Storage, geometry: Geometry, options: CheckOptions) {
    this.#storage = storage;
    this.#geometry = geometry;
    this.#repair = options.repair;
    this.#fileEnd = alignDown(storage.size, geometry.clusterSize);
  }

  async run(): Promise<CheckResult> {
    const { clusterSize, headerEnd, l1Offset, tableBytes } = this.#geometry;
    this.#use(l1Offset, tableBytes);
    await this.#walk(l1Offset, async (table) => {
      if (!this.#geometry.isRegular(table, tableBytes, this.#fileEnd)) {
        return 'invalid';
      }
      if (!this.#use(table, tableBytes)) {
        return 'shared';
      }
      await this.#walk(table, (data) => this.#checkData(data));
      return 'good';
    });
    return {
      corruptions: this.#corruptions,
      repairable: this.#repairable,
      fixed: this.#fixed,
      leaks: (this.#fileEnd - headerEnd) / clusterSize - this.#used.size,
      dataClusters: this.#dataClusters,
      leakedRuns: this.#leakedRuns(),
      end: headerEnd + this.#used.end * clusterSize,
    };
  }

  #checkData(data: number): Verdict {
    const { clusterSize } = this.#geometry;
    if (data === ZERO) {
      return 'good';
    }
    if (!this.#geometry.isRegular(data, clusterSize, this.#fileEnd)) {
      return 'invalid';
    }
    if (!this.#use(data, clusterSize)) {
      return 'shared';
    }
    this.#dataClusters += 1;
    return 'good';
  }

  #use(offset: number, bytes: number): boolean {
    const { clusterSize, headerEnd } = this.#geometry;
    return this.#used.add((offset - headerEnd) / clusterSize, bytes / clusterSize);
  }

  /** Judges all entries of a table that are not 0, skipping holes of the file. */
  async #walk(table: number, judge: (entry: number) => Verdict | Promise<Verdict>): Promise<void> {
    const tableEnd = table + this.#geometry.tableBytes;
    for (let offset = table; offset < tableEnd; ) {
      const extent = await this.#storage.map(offset, tableEnd - offset);
      // A hole may begin within an entry: whole entries are skipped, the rest is read.
      const skipped = extent.kind === 'hole' ? alignDown(extent.length, ENTRY_SIZE) : 0;
      if (skipped > 0) {
        offset += skipped;
      } else {
        const length = Math.min(CHUNK, tableEnd - offset);
        await this.#walkChunk(offset, length, judge);
        offset += length;
      }
    }
  }

  async #walkChunk(
    offset: number,
    length: number,
    judge: (entry: number) => Verdict | Promise<Verdict>,
  ): Promise<void> {
    const bytes = new Uint8Array(length);
    const view = viewOf(bytes);
    await this.#storage.read(bytes, offset);
    let cleared = 0;
    for (let position = 0; position < length; position += ENTRY_SIZE) {
      const high = view.getUint32(position + 4, true);
      const entry = high * TWO_32 + view.getUint32(position, true);
      if (entry !== UNALLOCATED) {
        const verdict = judge(entry);
        if (this.#count(typeof verdict === 'string' ? verdict : await verdict)) {
          bytes.fill(0, position, position + ENTRY_SIZE);
          cleared += 1;
        }
      }
    }
    if (cleared > 0) {
      await this.#storage.write(bytes, offset);
      this.#fixed += cleared;
    }
  }

  /** Counts a verdict; whether the entry is to be cleared. */
  #count(verdict: Verdict): boolean {
    if (verdict === 'good') {
      return false;
    }
    this.#corruptions += 1;
    if (verdict === 'shared') {
      return false;
    }
    this.#repairable += 1;
    return this.#repair;
  }

  #leakedRuns(): HostRun[] {
    const { clusterSize, headerEnd } = this.#geometry;
    const runs: HostRun[] = [];
    for (const gap of this.#used.gaps(this.#used.end)) {
      if (runs.length === MAX_LISTED_RUNS) {
        break;
      }
      runs.push({ offset: headerEnd + gap.first * clusterSize, count: gap.count });
    }
    return runs;
  }
}

/** `invalid` points where nothing can be; `shared` points to a cluster that something else uses. */
type Verdict = 'good' | 'invalid' | 'shared';
