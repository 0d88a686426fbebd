import { isPromise, viewOf } from '@lamella/core';
import { hasFeature, INCOMPATIBLE } from '../header/features.js';
import { COMPRESSED, COPIED, hostOffset } from '../mapping/l2-entry.js';
import type { CheckRun } from './check-run.js';
import type { RefcountRun } from './disk-refcounts.js';
import { entryText } from './entry-text.js';

/** Bytes of the L1 table that are read at once. */
const CHUNK = 64 * 1024;

/**
 * Compares the COPIED flags of the active tables with the refcounts on disk: set exactly when the
 * refcount is one (specification: "Cluster mapping", bit 63).
 *
 * @throws LamellaError `ABORTED`, and as `Storage.read` and `Storage.write`
 */
export async function checkCopiedFlags(run: CheckRun): Promise<void> {
  await new CopiedFlags(run).check();
}

class CopiedFlags {
  readonly #run: CheckRun;
  readonly #repair: boolean;
  readonly #externalData: boolean;
  readonly #table: Uint8Array;

  constructor(run: CheckRun) {
    this.#run = run;
    const { tally, repair } = run;
    // A repair of leaks changes flags only where nothing else is wrong: the refcounts are right then.
    const sound =
      tally.corruptions === run.snapshotCorruptions && tally.leaks === 0 && tally.checkErrors === 0;
    this.#repair = repair === 'all' || (repair === 'leaks' && sound);
    this.#table = new Uint8Array(run.geometry.clusterSize);
    this.#externalData = hasFeature(run.header.incompatible, INCOMPATIBLE.externalDataFile);
  }

  async check(): Promise<void> {
    const { l1Offset, l1Size } = this.#run.header;
    const end = Math.min(l1Offset + l1Size * 8, this.#run.storage.size);
    for (let at = l1Offset; at < end; at += CHUNK) {
      const piece = new Uint8Array(Math.min(CHUNK, l1Offset + l1Size * 8 - at));
      await this.#run.read(piece, at);
      await this.#checkL1(piece, at);
    }
  }

  async #checkL1(piece: Uint8Array, offset: number): Promise<void> {
    const { geometry, storage } = this.#run;
    const view = viewOf(piece);
    for (let at = 0; at < piece.length; at += 8) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      const table = hostOffset(high, low);
      if (table === 0) {
        continue;
      }
      this.#run.step();
      const refcount = await this.#run.refcounts.get(Math.floor(table / geometry.clusterSize));
      if (refcount === undefined) {
        continue;
      }
      if (isWrong(high, refcount)) {
        const index = (offset + at - this.#run.header.l1Offset) / 8;
        const what = `L2 table at byte ${table} (L1 entry ${index}, ${entryText(high, low)})`;
        this.#note(high, refcount, what, offset + at, this.#repair);
        if (this.#repair) {
          view.setUint32(at, flagged(high, refcount));
          await storage.write(piece.subarray(at, at + 8), offset + at);
        }
      }
      if (table < storage.size) {
        await this.#checkL2(table);
      }
    }
  }

  async #checkL2(offset: number): Promise<void> {
    const { geometry, storage } = this.#run;
    const { clusterSize, l2EntrySize } = geometry;
    const table = this.#table;
    await this.#run.read(table, offset);
    const view = viewOf(table);
    const mendable = this.#repair && !this.#run.metadata.touches(offset, clusterSize);
    let mended = false;
    let refcounts: RefcountRun | undefined;
    for (let at = 0; at < clusterSize; at += l2EntrySize) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      const host = hostOffset(high, low);
      const present = host !== 0 || (this.#externalData && (high & COPIED) !== 0);
      if ((high & COMPRESSED) !== 0 || !present) {
        continue;
      }
      let refcount: number | undefined = 1;
      if (!this.#externalData) {
        const cluster = Math.floor(host / clusterSize);
        if (refcounts === undefined || cluster < refcounts.first || cluster >= refcounts.end) {
          const loading = this.#run.refcounts.runAt(cluster);
          refcounts = isPromise(loading) ? await loading : loading;
        }
        refcount = refcounts.get(cluster);
      }
      if (refcount !== undefined && isWrong(high, refcount)) {
        const what = `data cluster at byte ${host} (L2 entry ${entryText(high, low)})`;
        this.#note(high, refcount, what, offset + at, mendable);
        if (mendable) {
          view.setUint32(at, flagged(high, refcount));
          mended = true;
        }
      }
    }
    if (mended) {
      await storage.write(table, offset);
    }
  }

  #note(high: number, refcount: number, what: string, position: number, fixed: boolean): void {
    const is = (high & COPIED) !== 0 ? 'set' : 'clear';
    const text = `the COPIED flag for the ${what} is ${is} at refcount ${refcount}`;
    this.#run.tally.corruption(text, position, fixed);
  }
}

function isWrong(high: number, refcount: number): boolean {
  return ((high & COPIED) !== 0) !== (refcount === 1);
}

function flagged(high: number, refcount: number): number {
  return (refcount === 1 ? high | COPIED : high & ~COPIED) >>> 0;
}
