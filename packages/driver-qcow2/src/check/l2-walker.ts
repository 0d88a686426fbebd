import { viewOf } from '@lamella/core';
import { compressedRange } from '../compression/descriptor.js';
import { hasFeature, INCOMPATIBLE } from '../header/features.js';
import { COMPRESSED, COPIED, hostOffset, ZERO_FLAG } from '../mapping/l2-entry.js';
import { ALL_SUBCLUSTERS } from '../mapping/subclusters.js';
import type { CheckRun } from './check-run.js';
import { entryText } from './entry-text.js';

/** Bits 56-61 of a standard descriptor, in its upper half. */
const RESERVED_HIGH = 0x3f00_0000;
/** Bits 1-8 of a standard descriptor, in its lower half. */
const RESERVED_LOW = 0x1fe;

/** Bits of an entry's upper half that make it another one than a standard descriptor within 2^56 bytes. */
const NOT_PLAIN = COMPRESSED | RESERVED_HIGH;

/** One entry of an L2 table. */
interface Entry {
  readonly high: number;
  readonly low: number;
  readonly zeroes: number;
  readonly allocated: number;
  /** Byte offset of the entry in the file. */
  readonly position: number;
}

/** Counts what L2 tables refer to (specification: "Cluster mapping"). */
export class L2Walker {
  readonly #run: CheckRun;
  readonly #clusterSize: number;
  readonly #entrySize: number;
  readonly #extended: boolean;
  readonly #externalData: boolean;
  /** Host offset that would continue the cluster before; 0 at a table's start. */
  #next = 0;
  #statistics = false;
  readonly #table: Uint8Array;

  constructor(run: CheckRun) {
    this.#run = run;
    this.#clusterSize = run.geometry.clusterSize;
    this.#entrySize = run.geometry.l2EntrySize;
    this.#extended = run.geometry.extended;
    this.#table = new Uint8Array(this.#clusterSize);
    this.#externalData = hasFeature(run.header.incompatible, INCOMPATIBLE.externalDataFile);
  }

  /**
   * Goes through one table. Entries that can't hold data and make no sense are mended by a repair of
   * everything: they read as zeroes then.
   *
   * @param offset - byte offset of the table
   * @param statistics - whether its clusters count as the guest's
   * @throws LamellaError as `Storage.read` and `Storage.write`
   */
  async walk(offset: number, statistics: boolean): Promise<void> {
    if (offset >= this.#run.storage.size) {
      return;
    }
    const table = this.#table;
    await this.#run.read(table, offset);
    this.#next = 0;
    this.#statistics = statistics;
    // A table that lies over other metadata must not be written to.
    const mendable = this.#run.mending && !this.#run.metadata.touches(offset, this.#clusterSize);
    const mended = this.#entries(viewOf(table), offset, mendable);
    if (mended) {
      await this.#run.storage.write(table, offset);
    }
  }

  #entries(view: DataView, table: number, mendable: boolean): boolean {
    let mended = false;
    for (let at = 0; at < view.byteLength; at += this.#entrySize) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      const zeroes = this.#extended ? view.getUint32(at + 8) : 0;
      const allocated = this.#extended ? view.getUint32(at + 12) : 0;
      const host = hostOffset(high, low);
      if (host !== 0 && this.#isPlain(high, low, zeroes)) {
        this.#countCluster(host);
      } else if ((high | low | zeroes | allocated) !== 0) {
        const problem = this.#entry({ high, low, zeroes, allocated, position: table + at });
        if (problem !== undefined) {
          this.#run.tally.corruption(problem, table + at, mendable);
          mended ||= mendable;
          if (mendable) {
            this.#zero(view, at);
          } else {
            this.#countCluster(host);
          }
        }
      }
    }
    return mended;
  }

  /** Whether an entry that is not empty is as most are: nothing to be said of it. */
  #isPlain(high: number, low: number, zeroes: number): boolean {
    const strange = (this.#clusterSize - 1) & ~ZERO_FLAG;
    return (
      (high & COPIED) !== 0 && (high & NOT_PLAIN) === 0 && (low & strange) === 0 && zeroes === 0
    );
  }

  /** Counts an entry; for one that is mended by reading as zeroes, the problem. */
  #entry(entry: Entry): string | undefined {
    const { high, low, zeroes, allocated, position } = entry;
    if ((high & COMPRESSED) !== 0) {
      this.#compressed(entry);
      return undefined;
    }
    if ((high & RESERVED_HIGH) !== 0 || (low & RESERVED_LOW) !== 0) {
      this.#run.tally.corruption(
        `an L2 entry has reserved bits set: ${entryText(high, low)}`,
        position,
      );
    }
    const host = hostOffset(high, low);
    if (host === 0 && !(this.#externalData && (high & COPIED) !== 0)) {
      if (allocated !== 0) {
        this.#run.tally.corruption('an unallocated cluster has allocated subclusters', position);
      }
      return undefined;
    }
    if ((zeroes & allocated) !== 0) {
      this.#run.tally.corruption('a subcluster is both allocated and zeroes', position);
    }
    if (host % this.#clusterSize !== 0) {
      const hasData = this.#extended ? allocated !== 0 : (low & ZERO_FLAG) === 0;
      if (!hasData) {
        return `a reserved cluster is at byte ${host}, which is not aligned`;
      }
      this.#run.tally.corruption(
        `a data cluster is at byte ${host}, which is not aligned`,
        position,
      );
    }
    this.#countCluster(host);
    return undefined;
  }

  #countCluster(host: number): void {
    if (host === 0 && !this.#externalData) {
      return;
    }
    if (this.#statistics) {
      this.#run.tally.allocated += 1;
      this.#run.tally.fragmented += this.#next !== 0 && host !== this.#next ? 1 : 0;
      this.#next = host + this.#clusterSize;
    }
    if (!this.#externalData) {
      this.#run.count(host, this.#clusterSize);
    }
  }

  #compressed({ high, low, zeroes, allocated, position }: Entry): void {
    const { tally, header } = this.#run;
    if ((high & COPIED) !== 0) {
      const { offset } = compressedRange(high, low, header.clusterBits);
      tally.corruption(`a compressed cluster at byte ${offset} has the COPIED flag`, position);
    }
    if (this.#externalData) {
      tally.corruption('a compressed cluster in an image with an external data file', position);
      return;
    }
    if ((zeroes | allocated) !== 0) {
      tally.corruption('a compressed cluster has a subcluster bitmap', position);
      return;
    }
    const range = compressedRange(high, low, header.clusterBits);
    this.#run.count(range.offset, range.length);
    if (this.#statistics) {
      tally.allocated += 1;
      tally.compressed += 1;
      tally.fragmented += 1;
    }
  }

  #zero(view: DataView, at: number): void {
    view.setUint32(at, 0);
    view.setUint32(at + 4, this.#extended ? 0 : ZERO_FLAG);
    if (this.#extended) {
      view.setUint32(at + 8, ALL_SUBCLUSTERS);
      view.setUint32(at + 12, 0);
    }
  }
}
