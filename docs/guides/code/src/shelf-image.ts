import {
  alignDown,
  type CheckFinding,
  type CheckOptions,
  type CheckResult,
  type Extent,
  type Image,
  type ImageDetails,
  LamellaError,
  MAX_FINDINGS,
  type Placement,
  preallocate,
  type Reference,
  type References,
  type ResizeOptions,
  type Storage,
  throwIfAborted,
} from '@lamella/core';
import { checkBacking, encodeHeader, entriesFor, type Header, MAX_ENTRIES } from './layout.js';

const UNALLOCATED = 0;
const ZERO = 1;
/** Entries from here on are clusters of the file, counted from its beginning. */
const FIRST = 2;
/** Table entries are written in whole sectors. */
const ENTRIES_IN_SECTOR = 128;

/** An open shelf image that may be written. */
export class ShelfImage implements Image {
  readonly #storage: Storage;
  readonly #writable: boolean;
  #header: Header;
  #table: Uint32Array;
  /** Clusters of the file that nothing refers to, neither in memory nor on disk. */
  #free: number[];
  /** First cluster behind everything. */
  #end: number;
  readonly #dirty = new Set<number>();
  /** Clusters that the table in memory dropped and the one on disk still refers to. */
  #dropped: number[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(storage: Storage, header: Header, table: Uint32Array, writable: boolean) {
    this.#storage = storage;
    this.#header = header;
    this.#table = table;
    this.#writable = writable;
    this.#end = Math.max(FIRST, Math.ceil(storage.size / header.clusterSize));
    this.#free = writable ? freeClusters(table, header, this.#end) : [];
  }

  get size(): number {
    return this.#header.size;
  }

  get clusterSize(): number {
    return this.#header.clusterSize;
  }

  get options(): Readonly<Record<string, number>> {
    return { cluster_size: this.clusterSize };
  }

  // #region references
  get references(): References {
    const { backing } = this.#header;
    return backing === '' ? {} : { backing: { location: backing } };
  }
  // #endregion references

  // #region details
  get details(): ImageDetails {
    return { 'table-offset': this.#header.tableOffset, 'free-clusters': this.#free.length };
  }
  // #endregion details

  map(offset: number, length: number): Extent {
    const { index, within } = this.#locate(offset);
    const inCluster = Math.min(length, this.clusterSize - within);
    const entry = this.#table[index] ?? UNALLOCATED;
    if (entry === UNALLOCATED) {
      return { kind: 'unallocated', length: inCluster };
    }
    if (entry === ZERO) {
      return { kind: 'zero', length: inCluster, allocated: false };
    }
    const storage = this.#storage;
    if (entry * this.clusterSize >= storage.size) {
      throw corrupt('an entry points behind the end of the file', this.#header, index, storage);
    }
    const host = entry * this.clusterSize + within;
    return { kind: 'data', length: inCluster, storage, offset: host };
  }

  // #region place
  place(offset: number, length: number): Placement {
    this.#assertWritable();
    const { index, within } = this.#locate(offset);
    const inCluster = Math.min(length, this.clusterSize - within);
    const storage = this.#storage;
    const entry = this.#table[index] ?? UNALLOCATED;
    if (entry >= FIRST) {
      const host = entry * this.clusterSize + within;
      return { kind: 'in-place', length: inCluster, storage, offset: host };
    }
    const recycled = this.#free.pop();
    const cluster = recycled ?? this.#end++;
    return {
      kind: 'allocation',
      length: inCluster,
      storage,
      offset: cluster * this.clusterSize + within,
      copyBefore: within,
      copyAfter: this.clusterSize - within - inCluster,
      fresh: recycled === undefined,
      commit: () => this.#set(index, cluster),
      abort: () => {
        this.#free.push(cluster);
      },
    };
  }
  // #endregion place

  // #region zero
  zero(offset: number, length: number): number {
    this.#assertWritable();
    const first = offset / this.clusterSize;
    for (let index = first; index < first + length / this.clusterSize; index += 1) {
      this.#set(index, ZERO);
    }
    return length;
  }
  // #endregion zero

  // #region discard
  discard(offset: number, length: number): void {
    this.zero(offset, length);
  }
  // #endregion discard

  // #region flush
  flush(): Promise<void> {
    const flushing = this.#flushing.catch(() => undefined).then(() => this.#writeBack());
    this.#flushing = flushing;
    return flushing;
  }

  async #writeBack(): Promise<void> {
    const dirty = [...this.#dirty];
    const dropped = this.#dropped;
    const sectors = new Map<number, Uint8Array>();
    for (const index of dirty) {
      const first = alignDown(index, ENTRIES_IN_SECTOR);
      sectors.set(first, encodeEntries(this.#table.slice(first, first + ENTRIES_IN_SECTOR)));
    }
    this.#dirty.clear();
    this.#dropped = [];
    try {
      // Data is durable before anything points to it, and nothing points to a cluster that is given out again.
      await this.#storage.flush();
      for (const [first, bytes] of sectors) {
        await this.#storage.write(bytes, this.#header.tableOffset + first * 4);
      }
      if (sectors.size > 0) {
        await this.#storage.flush();
      }
      this.#free.push(...dropped);
    } catch (error) {
      for (const index of dirty) {
        this.#dirty.add(index);
      }
      this.#dropped.push(...dropped);
      throw error;
    }
  }
  // #endregion flush

  // #region resize
  async resize(size: number, options: ResizeOptions = {}): Promise<void> {
    this.#assertWritable();
    const { location } = this.#storage;
    const old = this.#header;
    const entries = entriesFor(size, old.clusterSize);
    if (entries > MAX_ENTRIES) {
      throw new LamellaError('LIMIT_EXCEEDED', 'the disk has too many clusters', { location });
    }
    if ((options.preallocation ?? 'off') !== 'off') {
      throw new LamellaError('UNSUPPORTED', 'shelf images reserve no space', { location });
    }
    throwIfAborted(options.signal, location);
    await this.flush();
    if (size > old.size) {
      await this.#clearTail(old.size);
    }
    const table = new Uint32Array(entries).fill(ZERO);
    table.set(this.#table.subarray(0, entries));
    // The new table lies behind everything until the header, in one sector, switches to it.
    const tableOffset = this.#end * old.clusterSize;
    const tableEnd = this.#end + entriesFor(Math.max(1, entries) * 4, old.clusterSize);
    await preallocate(this.#storage, this.#storage.size, tableEnd * old.clusterSize, 'off');
    this.#end = tableEnd;
    await this.#storage.write(encodeEntries(table), tableOffset);
    await this.#storage.flush();
    await this.#switchTo({ ...old, size, tableOffset });
    this.#table = table;
    this.#free = freeClusters(table, this.#header, this.#end);
  }

  /** What a smaller disk left behind its end must not come back. */
  async #clearTail(size: number): Promise<void> {
    const { index, within } = this.#locate(size);
    const entry = this.#table[index] ?? UNALLOCATED;
    if (within > 0 && entry >= FIRST) {
      const tail = this.clusterSize - within;
      await this.#storage.writeZeroes(entry * this.clusterSize + within, tail);
    }
  }

  async #switchTo(header: Header): Promise<void> {
    await this.#storage.write(encodeHeader(header), 0);
    await this.#storage.flush();
    this.#header = header;
  }
  // #endregion resize

  // #region set-backing
  async setBacking(backing: Reference | undefined): Promise<void> {
    this.#assertWritable();
    checkBacking(backing);
    await this.flush();
    await this.#switchTo({ ...this.#header, backing: backing?.location ?? '' });
  }

  async makeEmpty(): Promise<void> {
    this.#assertWritable();
    for (const index of this.#table.keys()) {
      this.#set(index, UNALLOCATED);
    }
    await this.flush();
  }
  // #endregion set-backing

  // #region check
  async check({ signal }: CheckOptions = {}): Promise<CheckResult> {
    const findings: CheckFinding[] = [];
    let corruptions = 0;
    for (const { message, index } of damageOf(this.#table, this.#header, this.#end)) {
      throwIfAborted(signal, this.#storage.location);
      corruptions += 1;
      if (findings.length < MAX_FINDINGS) {
        const offset = this.#header.tableOffset + index * 4;
        findings.push({ kind: 'corruption', message, offset, fixed: false });
      }
    }
    return {
      corruptions,
      leaks: 0,
      checkErrors: 0,
      corruptionsFixed: 0,
      leaksFixed: 0,
      totalClusters: this.#table.length,
      allocatedClusters: this.#table.filter((entry) => entry >= FIRST).length,
      findings,
    };
  }
  // #endregion check

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      if (this.#writable) {
        await this.flush();
      }
    }
  }

  #locate(offset: number): { readonly index: number; readonly within: number } {
    const within = offset % this.clusterSize;
    return { index: (offset - within) / this.clusterSize, within };
  }

  #set(index: number, entry: number): void {
    const before = this.#table[index] ?? UNALLOCATED;
    if (before >= FIRST) {
      this.#dropped.push(before);
    }
    this.#table[index] = entry;
    this.#dirty.add(index);
  }

  #assertWritable(): void {
    if (!this.#writable) {
      throw new LamellaError('READ_ONLY', 'the image was opened for reading', {
        location: this.#storage.location,
      });
    }
  }
}

/** @throws LamellaError `CORRUPT` when writing to the image could destroy data */
export function assertSound(table: Uint32Array, header: Header, storage: Storage): void {
  const end = Math.ceil(storage.size / header.clusterSize);
  for (const { message, index } of damageOf(table, header, end)) {
    throw corrupt(message, header, index, storage);
  }
}

interface Damage {
  readonly message: string;
  readonly index: number;
}

function* damageOf(table: Uint32Array, header: Header, end: number): Generator<Damage> {
  const seen = new Set<number>(tableClusters(table, header));
  for (const [index, entry] of table.entries()) {
    if (entry < FIRST) {
      continue;
    }
    if (entry >= end) {
      yield { message: `entry ${index} points behind the end of the file`, index };
    } else if (seen.has(entry)) {
      yield { message: `entry ${index} points to a cluster that is in use already`, index };
    }
    seen.add(entry);
  }
}

/** Nothing on disk says which clusters are free: they are those that nothing refers to. */
function freeClusters(table: Uint32Array, header: Header, end: number): number[] {
  const used = new Set<number>([...tableClusters(table, header), ...table]);
  const free: number[] = [];
  for (let cluster = end - 1; cluster >= FIRST; cluster -= 1) {
    if (!used.has(cluster)) {
      free.push(cluster);
    }
  }
  return free;
}

function* tableClusters(table: Uint32Array, { tableOffset, clusterSize }: Header) {
  const first = tableOffset / clusterSize;
  for (let i = 0; i < entriesFor(table.length * 4, clusterSize); i += 1) {
    yield first + i;
  }
}

function encodeEntries(entries: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(entries.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, entry] of entries.entries()) {
    view.setUint32(index * 4, entry, true);
  }
  return bytes;
}

function corrupt(
  problem: string,
  header: Header,
  index: number,
  { location }: Storage,
): LamellaError {
  return new LamellaError('CORRUPT', problem, {
    location,
    offset: header.tableOffset + index * 4,
    hint: 'Restore the image from a backup.',
  });
}
