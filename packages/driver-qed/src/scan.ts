import {
  alignDown,
  type CheckFinding,
  LamellaError,
  type LongOperation,
  MAX_FINDINGS,
  type Storage,
  throwIfAborted,
  viewOf,
} from '@lamella/core';
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

/**
 * What the tables of an image say (specification: "Consistency checking"). The counts are those of
 * QEMU 7.2, found by giving it damaged images.
 */
export interface ScanResult {
  /**
   * Entries that point to no whole cluster, and clusters that are referred to again; repaired ones
   * included.
   */
  readonly corruptions: number;
  /** Of those, entries that clearing repairs: they point to no whole cluster of their own. */
  readonly repairable: number;
  /** Of those, entries that were cleared. */
  readonly fixed: number;
  /** Clusters that nothing refers to. */
  readonly leaks: number;
  /** Entries for data, bad ones included. */
  readonly dataClusters: number;
  /** Entries for data that do not follow the one before them in their table. */
  readonly fragmentedClusters: number;
  /** Runs of leaked clusters before {@link ScanResult.end}, at most 65536 of them. */
  readonly leakedRuns: readonly HostRun[];
  /** Whether there are more runs than that. */
  readonly moreRuns: boolean;
  /** Clusters that only entries behind the disk's end refer to, and that count as unused for that. */
  readonly parked: number;
  /** Byte offset behind the last cluster that something refers to. */
  readonly end: number;
  /** The first {@link MAX_FINDINGS} corruptions. */
  readonly findings: readonly CheckFinding[];
}

/**
 * Clusters that entries behind the disk's end refer to count as used for the verdict, but not for `leakedRuns`
 * and `end`.
 */
export interface Unparking {
  /** Bytes of the guest's disk. */
  readonly diskSize: number;
  /** Most clusters, leaked ones included, for which this is so; with more, all that is parked is used. */
  readonly most: number;
}

/** How a scan is made. */
export interface ScanOptions extends LongOperation {
  /** Clear entries that point where nothing can be, which makes the range read from the backing file. */
  readonly repair: boolean;
  /** Whether what only entries behind the disk's end refer to is used; by default it is. */
  readonly unpark?: Unparking | undefined;
}

/**
 * Walks all tables: each must lie within the file, aligned, and each cluster be referred to once at
 * most. Nothing else may use the image meanwhile, and the storage must hold all changes. Repairs are
 * written but not flushed. Progress is told in bytes of the L1 table.
 *
 * Memory: one bit per referenced cluster and 512 KiB.
 *
 * @throws LamellaError `LIMIT_EXCEEDED` for a file of more than 2^32 clusters, `ABORTED`, and as
 * `Storage.read` and `Storage.write`
 */
export async function scanImage(
  storage: Storage,
  geometry: Geometry,
  options: ScanOptions,
): Promise<ScanResult> {
  const clusters = Math.floor(storage.size / geometry.clusterSize);
  if (clusters > MAX_CLUSTERS) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `the file has ${clusters} clusters; at most ${MAX_CLUSTERS} can be checked`,
      { location: storage.location, hint: 'Check the image with another program.' },
    );
  }
  return new Scanner(storage, geometry, options).run();
}

/** One entry of a table. */
interface Entry {
  readonly value: number;
  /** Byte offset of the entry in the file. */
  readonly position: number;
}

/** `invalid` points where nothing can be; `shared` points to clusters that something else uses. */
type Verdict = 'good' | 'invalid' | 'shared';

type Judge = (entry: Entry) => Verdict | Promise<Verdict>;

class Scanner {
  readonly #storage: Storage;
  readonly #geometry: Geometry;
  readonly #options: ScanOptions;
  readonly #fileEnd: number;
  /** Clusters behind the header, counted from there. */
  readonly #used = new ClusterSet();
  /** Those of them that the guest can't reach. */
  readonly #parked = new ClusterSet();
  /** Guest cluster from which on that is so. */
  readonly #behind: number;
  readonly #findings: CheckFinding[] = [];
  #corruptions = 0;
  #repairable = 0;
  #fixed = 0;
  #dataClusters = 0;
  #fragmented = 0;

  constructor(storage: Storage, geometry: Geometry, options: ScanOptions) {
    this.#storage = storage;
    this.#geometry = geometry;
    this.#options = options;
    this.#fileEnd = geometry.fileEnd(storage.size);
    this.#behind = Math.ceil(
      (options.unpark?.diskSize ?? Number.POSITIVE_INFINITY) / geometry.clusterSize,
    );
  }

  async run(): Promise<ScanResult> {
    const { clusterSize, headerEnd, l1Offset, tableBytes } = this.#geometry;
    this.#use({ value: l1Offset, position: 0 }, tableBytes, '', 0);
    await this.#walk(l1Offset, (entry) => {
      this.#report(entry.position + ENTRY_SIZE - l1Offset);
      return this.#checkTable(entry);
    });
    this.#report(tableBytes);
    const leaks = (this.#fileEnd - headerEnd) / clusterSize - this.#used.size;
    const unparked = leaks + this.#parked.size <= (this.#options.unpark?.most ?? 0);
    if (unparked) {
      this.#used.subtract(this.#parked);
    }
    return {
      corruptions: this.#corruptions,
      repairable: this.#repairable,
      fixed: this.#fixed,
      leaks,
      dataClusters: this.#dataClusters,
      fragmentedClusters: this.#fragmented,
      ...this.#leakedRuns(),
      parked: unparked ? this.#parked.size : 0,
      end: headerEnd + this.#used.end * clusterSize,
      findings: this.#findings,
    };
  }

  async #checkTable(entry: Entry): Promise<Verdict> {
    const { clusterSize, l1Offset, tableBytes, tableEntries } = this.#geometry;
    const firstCluster = ((entry.position - l1Offset) / ENTRY_SIZE) * tableEntries;
    if (!this.#geometry.isWhole(entry.value, tableBytes, this.#fileEnd)) {
      return this.#invalid(entry, 'L1 table entry');
    }
    if (this.#use(entry, tableBytes, 'L1 table entry', firstCluster) > 0) {
      return 'shared';
    }
    let last = 0;
    await this.#walk(entry.value, (data) => {
      if (data.value === ZERO) {
        return 'good';
      }
      this.#dataClusters += 1;
      this.#fragmented += last !== 0 && data.value !== last + clusterSize ? 1 : 0;
      last = data.value;
      return this.#checkData(data, firstCluster + (data.position - entry.value) / ENTRY_SIZE);
    });
    return 'good';
  }

  #checkData(entry: Entry, cluster: number): Verdict {
    const { clusterSize } = this.#geometry;
    if (!this.#geometry.isWhole(entry.value, clusterSize, this.#fileEnd)) {
      return this.#invalid(entry, 'L2 table entry');
    }
    return this.#use(entry, clusterSize, 'L2 table entry', cluster) > 0 ? 'shared' : 'good';
  }

  /**
   * Marks clusters as used; how many of them were already.
   *
   * @param cluster - first guest cluster that the entry is for
   */
  #use(entry: Entry, bytes: number, what: string, cluster: number): number {
    const { clusterSize, headerEnd } = this.#geometry;
    const [first, count] = [(entry.value - headerEnd) / clusterSize, bytes / clusterSize];
    const again = this.#used.add(first, count);
    if (cluster >= this.#behind) {
      this.#parked.add(first, count);
    }
    if (again > 0) {
      this.#corruptions += again;
      const clusters = again === 1 ? 'a cluster is' : `${again} clusters are`;
      this.#find(entry, what, `where ${clusters} in use already`, false);
    }
    return again;
  }

  #invalid(entry: Entry, what: string): Verdict {
    this.#corruptions += 1;
    this.#repairable += 1;
    this.#find(entry, what, 'where no whole cluster is', this.#options.repair);
    return 'invalid';
  }

  #find({ position, value }: Entry, what: string, why: string, fixed: boolean): void {
    if (this.#findings.length < MAX_FINDINGS) {
      const message = `an ${what} points to 0x${value.toString(16)}, ${why}`;
      this.#findings.push({ kind: 'corruption', message, offset: position, fixed });
    }
  }

  #report(done: number): void {
    this.#options.onProgress?.({ done, total: this.#geometry.tableBytes });
  }

  /** Judges all entries of a table that are not 0, skipping holes of the file. */
  async #walk(table: number, judge: Judge): Promise<void> {
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

  async #walkChunk(offset: number, length: number, judge: Judge): Promise<void> {
    throwIfAborted(this.#options.signal, this.#storage.location);
    const bytes = new Uint8Array(length);
    const view = viewOf(bytes);
    await this.#storage.read(bytes, offset);
    let cleared = 0;
    for (let position = 0; position < length; position += ENTRY_SIZE) {
      const high = view.getUint32(position + 4, true);
      const value = high * TWO_32 + view.getUint32(position, true);
      if (value !== UNALLOCATED) {
        const answer = judge({ value, position: offset + position });
        const verdict = typeof answer === 'string' ? answer : await answer;
        if (verdict === 'invalid' && this.#options.repair) {
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

  #leakedRuns(): { readonly leakedRuns: readonly HostRun[]; readonly moreRuns: boolean } {
    const { clusterSize, headerEnd } = this.#geometry;
    const leakedRuns: HostRun[] = [];
    for (const gap of this.#used.gaps(this.#used.end)) {
      if (leakedRuns.length === MAX_LISTED_RUNS) {
        return { leakedRuns, moreRuns: true };
      }
      leakedRuns.push({ offset: headerEnd + gap.first * clusterSize, count: gap.count });
    }
    return { leakedRuns, moreRuns: false };
  }
}
