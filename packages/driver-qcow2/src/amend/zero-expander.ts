import { type CachedSlice, type LongOperation, throwIfAborted } from '@lamella/core';
import { corrupt } from '../errors.js';
import type { Header } from '../header/header.js';
import { COPIED, hostOffset, KIND, ownedHigh, ownedLow, ZERO_FLAG } from '../mapping/l2-entry.js';
import type { WriteParts } from '../write-parts.js';
import { allL2Tables } from './l2-table-list.js';

/** One L2 table at work. */
interface Table {
  readonly offset: number;
  /** How many L1 tables refer to it; each entry counts as often. */
  readonly references: number;
  /** Byte of the disk that its first entry describes. */
  readonly guest: number;
}

/**
 * Takes the zero flag out of every L2 entry, because version 2 has none: what reads as zeroes without it
 * becomes unallocated, the rest gets clusters of zeroes. Content is the same at every moment.
 */
export class ZeroExpander {
  readonly #parts: WriteParts;
  readonly #header: Header;
  readonly #operation: LongOperation;
  #end = 0;

  constructor(parts: WriteParts, header: Header, operation: LongOperation) {
    this.#parts = parts;
    this.#header = header;
    this.#operation = operation;
  }

  /** @throws LamellaError `ABORTED`, `NO_SPACE`, `CORRUPT`, `LIMIT_EXCEEDED`, `IO_ERROR` */
  async expand(): Promise<void> {
    const { storage, geometry, refcounts } = this.#parts;
    const { signal, onProgress } = this.#operation;
    const tables = await allL2Tables(this.#parts, this.#header);
    let done = 0;
    for (const [offset, l1Index] of tables) {
      throwIfAborted(signal, storage.location);
      const references = await refcounts.get(offset / geometry.clusterSize);
      if (references === 0) {
        throw corrupt(storage.location, offset, 'an L2 table in use has a refcount of 0');
      }
      await this.#expandTable({ offset, references, guest: l1Index * geometry.l2Span });
      done += 1;
      onProgress?.({ done, total: tables.size });
    }
    await this.#extendFile();
  }

  async #expandTable(table: Table): Promise<void> {
    const { geometry, pressure } = this.#parts;
    for (let index = 0; index * geometry.sliceSize < geometry.clusterSize; index += 1) {
      for (let entry = 0; entry < geometry.sliceEntries; ) {
        if (pressure.high) {
          await this.#extendFile();
          await pressure.relieve();
        }
        entry = await this.#expandFrom(table, index, entry);
      }
    }
  }

  /** Goes on to behind the next entries that needed something; gives where that is. */
  async #expandFrom(table: Table, sliceIndex: number, from: number): Promise<number> {
    const { entries, geometry, tables } = this.#parts;
    const at = table.offset + sliceIndex * geometry.sliceSize;
    const slice = await tables.cache.load(at);
    const hidden = this.#header.backing === undefined;
    for (let entry = from; entry < geometry.sliceEntries; entry += 1) {
      const kind = entries.kind(slice, entry);
      if (kind === KIND.invalid) {
        throw entries.invalid(slice, entry);
      }
      if (kind === KIND.preallocated) {
        await this.#expandReserved(table, at, entry);
        return entry + 1;
      }
      if (kind === KIND.zero && hidden) {
        entries.set(slice, entry, 0, 0);
        tables.cache.markDirty(slice);
      } else if (kind === KIND.zero) {
        return entry + (await this.#allocate(table, at, entry));
      }
    }
    return geometry.sliceEntries;
  }

  /** A reserved cluster that nothing else refers to is kept, with zeroes in it. */
  async #expandReserved(table: Table, at: number, entry: number): Promise<void> {
    const { storage, entries, geometry, tables, refcounts, drops, encryption } = this.#parts;
    const slice = await tables.cache.load(at);
    const high = entries.high(slice, entry);
    const low = entries.low(slice, entry);
    const host = hostOffset(high, low);
    const references = await refcounts.get(host / geometry.clusterSize);
    const kept = encryption === undefined && references === table.references;
    if (kept) {
      this.#end = Math.max(this.#end, host + geometry.clusterSize);
      await storage.writeZeroes(host, geometry.clusterSize, { unmap: false });
    }
    const current = await tables.cache.load(at);
    if (kept) {
      entries.set(current, entry, high, (low & ~ZERO_FLAG) >>> 0);
    } else {
      for (let i = 0; i < table.references; i += 1) {
        drops.add(host, geometry.clusterSize, true);
      }
      entries.set(current, entry, 0, ZERO_FLAG);
    }
    tables.cache.markDirty(current);
    if (!kept) {
      // Looked at again as what it is now.
      await this.#expandOne(table, at, entry);
    }
  }

  async #expandOne(table: Table, at: number, entry: number): Promise<void> {
    const { entries, tables } = this.#parts;
    if (this.#header.backing !== undefined) {
      await this.#allocate(table, at, entry);
      return;
    }
    const slice = await tables.cache.load(at);
    entries.set(slice, entry, 0, 0);
    tables.cache.markDirty(slice);
  }

  /** Gives clusters of zeroes to a run of entries that have none; gives how many. */
  async #allocate(table: Table, at: number, first: number): Promise<number> {
    const { entries, geometry, tables, allocator, writer } = this.#parts;
    const { clusterSize } = geometry;
    const wanted = this.#zeroRun(await tables.cache.load(at), first);
    const run = await allocator.allocate(wanted);
    const bytes = run.count * clusterSize;
    try {
      const slices = (at - table.offset) / geometry.sliceSize;
      const guest = table.guest + slices * geometry.sliceSpan + first * clusterSize;
      await this.#writeZeroes(run.offset, bytes, guest, run.fresh);
      await this.#raise(run.offset / clusterSize, run.count, table.references - 1);
    } catch (error) {
      writer.giveUp(run.offset, bytes);
      throw error;
    }
    const slice = await tables.cache.load(at);
    for (let i = 0; i < run.count; i += 1) {
      const host = run.offset + i * clusterSize;
      const shared = (ownedHigh(host) & ~COPIED) >>> 0;
      const high = table.references === 1 ? ownedHigh(host) : shared;
      entries.set(slice, first + i, high, ownedLow(host));
    }
    tables.cache.markDirty(slice);
    return run.count;
  }

  #zeroRun(slice: CachedSlice, first: number): number {
    const { entries, geometry } = this.#parts;
    let count = 1;
    while (
      first + count < geometry.sliceEntries &&
      entries.kind(slice, first + count) === KIND.zero
    ) {
      count += 1;
    }
    return count;
  }

  async #writeZeroes(host: number, bytes: number, guest: number, fresh: boolean): Promise<void> {
    const { storage, encryption } = this.#parts;
    this.#end = Math.max(this.#end, host + bytes);
    if (encryption !== undefined) {
      await encryption.writeZeroes(storage, host, guest, bytes);
    } else if (!fresh) {
      await storage.writeZeroes(host, bytes);
    }
  }

  async #raise(first: number, count: number, by: number): Promise<void> {
    const { refcounts } = this.#parts;
    for (let cluster = first; by > 0 && cluster < first + count; cluster += 1) {
      await refcounts.change(cluster, by);
    }
  }

  async #extendFile(): Promise<void> {
    const { storage } = this.#parts;
    if (storage.size < this.#end) {
      await storage.truncate(this.#end);
    }
  }
}
