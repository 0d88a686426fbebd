import type { Storage, WriteBack } from '@lamella/core';
import { refcountTablePatch } from '../header/serialise.js';
import type { L2Tables } from '../mapping/l2-tables.js';
import type { DropApplier } from '../refcount/drop-applier.js';
import type { Drop, Drops } from '../refcount/drops.js';
import type { Refcounts } from '../refcount/refcounts.js';
import type { PointerTable, PointerTableSnapshot } from '../tables/pointer-table.js';

/** What a {@link Flusher} writes. */
export interface FlusherParts {
  readonly storage: Storage;
  /** Where guest clusters are: the same storage, or an external data file. */
  readonly data: Storage;
  /** Bytes. */
  readonly clusterSize: number;
  readonly l1: PointerTable;
  readonly tables: L2Tables;
  readonly refcounts: Refcounts;
  readonly drops: Drops;
  readonly dropApplier: DropApplier;
}

/** Everything that changed, as it is at one moment. */
class Changes {
  readonly refcountBlocks: WriteBack;
  readonly l2Tables: WriteBack;
  readonly l1: PointerTableSnapshot;
  readonly refcountTable: PointerTable;
  readonly refcountTableChanges: PointerTableSnapshot;
  readonly drops: readonly Drop[];

  constructor({ l1, tables, refcounts, drops }: FlusherParts) {
    this.refcountBlocks = refcounts.cache.beginWriteBack();
    this.l2Tables = tables.cache.beginWriteBack();
    this.l1 = l1.takeChanges();
    this.refcountTable = refcounts.table;
    this.refcountTableChanges = refcounts.table.takeChanges();
    this.drops = drops.take();
  }

  restore(parts: FlusherParts): void {
    this.refcountBlocks.cancel();
    this.l2Tables.cancel();
    this.l1.restore();
    this.refcountTableChanges.restore();
    parts.drops.restore(this.drops);
  }
}

/**
 * Makes changes durable in the order of `docs/architecture.md` ("Order on disk"). One flush runs at a
 * time; calls that arrive meanwhile share the next one.
 */
export class Flusher {
  readonly #parts: FlusherParts;
  #storedTable: PointerTable;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #lowered = false;

  constructor(parts: FlusherParts) {
    this.#parts = parts;
    this.#storedTable = parts.refcounts.table;
  }

  /** Whether refcounts were lowered since the last time that the storage was flushed. */
  get lowered(): boolean {
    return this.#lowered;
  }

  /**
   * Makes all that was changed before the call durable. After a failure everything that may not be
   * durable counts as changed still.
   *
   * @throws LamellaError `IO_ERROR`, `NO_SPACE`, `CORRUPT`
   */
  flush(): Promise<void> {
    if (this.#next === undefined) {
      if (this.#running === undefined) {
        return this.#start();
      }
      const start = () => this.#start();
      this.#next = this.#running.then(start, start);
    }
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = this.#run().finally(() => {
      if (this.#running === running) {
        this.#running = undefined;
      }
    });
    this.#running = running;
    return running;
  }

  async #run(): Promise<void> {
    const changes = new Changes(this.#parts);
    try {
      await this.#writeRaised(changes);
      await this.#writeMappings(changes);
    } catch (error) {
      changes.restore(this.#parts);
      throw error;
    }
    if (changes.drops.length > 0) {
      this.#lowered = true;
      await this.#parts.dropApplier.apply(changes.drops);
      await this.#writeLowered();
    }
  }

  /** Phase 2: what no mapping on disk refers to yet. */
  async #writeRaised(changes: Changes): Promise<void> {
    const { storage, data } = this.#parts;
    if (data !== storage) {
      await data.flush();
    }
    await changes.refcountBlocks.write();
    if (!changes.refcountTableChanges.empty) {
      await storage.flush();
      await changes.refcountTableChanges.write();
      if (changes.refcountTable !== this.#storedTable) {
        await this.#pointHeaderTo(changes.refcountTable);
      }
    }
    await storage.flush();
    changes.refcountBlocks.confirm();
    this.#storedTable = changes.refcountTable;
    this.#lowered = false;
  }

  async #pointHeaderTo(table: PointerTable): Promise<void> {
    const { storage, clusterSize } = this.#parts;
    await storage.flush();
    const patch = refcountTablePatch(table.offset, (table.length * 8) / clusterSize);
    await storage.write(patch.bytes, patch.offset);
  }

  /** Phase 3: mappings. */
  async #writeMappings(changes: Changes): Promise<void> {
    if (!changes.l2Tables.empty || !changes.l1.empty) {
      await changes.l2Tables.write();
      await changes.l1.write();
      await this.#parts.storage.flush();
    }
    changes.l2Tables.confirm();
  }

  /** Phase 4: lowered refcounts; the next flush makes them durable. */
  async #writeLowered(): Promise<void> {
    await this.#parts.refcounts.cache.beginWriteBack().store();
  }
}
