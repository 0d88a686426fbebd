import {
  type Allocation,
  alignUp,
  type CheckOptions,
  type CheckResult,
  type Extent,
  type Image,
  type ImageDetails,
  LamellaError,
  type OptionValue,
  type Placement,
  type References,
  type ResizeOptions,
  type Storage,
  type ZeroContext,
} from '@lamella/core';
import type { Bat } from './bat.js';
import { checkImage } from './check.js';
import type { ParallelsHeader } from './header.js';
import { planSize } from './plan-size.js';
import { runsOf, type Space } from './space.js';

/** Clusters that are looked at in one call. */
const MAX_RUN = 4096;

/** What a {@link ParallelsImage} is made from. */
export interface ParallelsParts {
  readonly storage: Storage;
  readonly header: ParallelsHeader;
  readonly bat: Bat;
  /** Where new clusters go; undefined for an image that takes no writes. */
  readonly space: Space | undefined;
}

/**
 * An open Parallels image.
 *
 * Order in the file: data, flush, BAT, flush; and only then is what the BAT no longer refers to used again. So a
 * crash leaves clusters that nobody uses, at most, and whoever writes next finds them.
 */
export class ParallelsImage implements Image {
  readonly clusterSize: number;
  readonly references: References = {};
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly details: ImageDetails;
  readonly unclean: boolean;
  readonly #storage: Storage;
  readonly #header: ParallelsHeader;
  readonly #bat: Bat;
  readonly #space: Space | undefined;
  /** Clusters that the BAT in memory dropped, and the one in the file perhaps not yet. */
  #dropped: number[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #size: number;
  #closed = false;

  constructor({ storage, header, bat, space }: ParallelsParts) {
    this.#storage = storage;
    this.#header = header;
    this.#bat = bat;
    this.#space = space;
    this.#size = header.size;
    this.clusterSize = header.clusterSize;
    this.unclean = header.inUse;
    this.options = { cluster_size: header.clusterSize, magic: header.magic };
    this.details = { magic: header.magic, 'in-use': header.inUse };
  }

  get size(): number {
    return this.#size;
  }

  // #region map
  map(offset: number, length: number): Extent {
    const { clusterSize } = this;
    const within = offset % clusterSize;
    const index = (offset - within) / clusterSize;
    const place = this.#bat.placeOf(index);
    const count = this.#countAlike(index, place, within + length);
    const inRun = Math.min(length, count * clusterSize - within);
    if (place === 0) {
      return { kind: 'zero', length: inRun, allocated: false };
    }
    this.#assertInFile(index, place);
    return { kind: 'data', length: inRun, storage: this.#storage, offset: place + within };
  }
  // #endregion map

  // #region place
  place(offset: number, length: number): Placement {
    const { clusterSize } = this;
    const space = this.#writable();
    const within = offset % clusterSize;
    const index = (offset - within) / clusterSize;
    const place = this.#bat.placeOf(index);
    const count = this.#countAlike(index, place, within + length);
    if (place !== 0) {
      const inRun = Math.min(length, count * clusterSize - within);
      return {
        kind: 'in-place',
        length: inRun,
        storage: this.#storage,
        offset: place + within,
      };
    }
    const run = space.take(count);
    const inRun = Math.min(length, run.count * clusterSize - within);
    const host = this.#placeOf(run.first);
    const allocation: Allocation = {
      kind: 'allocation',
      length: inRun,
      storage: this.#storage,
      offset: host + within,
      copyBefore: within,
      copyAfter: run.count * clusterSize - within - inRun,
      fresh: run.fresh,
      commit: () => {
        for (let i = 0; i < run.count; i += 1) {
          this.#bat.setPlace(index + i, host + i * clusterSize);
        }
      },
      abort: () => space.give(run),
    };
    return allocation;
  }
  // #endregion place

  /** What is not stored reads as zeroes, so clusters are dropped; those that are to keep their space are not. */
  zero(offset: number, length: number, { unmap }: ZeroContext): number {
    this.#writable();
    const first = offset / this.clusterSize;
    const count = Math.ceil(length / this.clusterSize);
    for (let i = 0; i < count; i += 1) {
      if (!unmap && this.#bat.placeOf(first + i) !== 0) {
        return i * this.clusterSize;
      }
      this.#drop(first + i);
    }
    return length;
  }

  discard(offset: number, length: number): void {
    this.zero(offset, length, { unmap: true, zeroBelow: true });
  }

  /** One flush at a time. */
  flush(): Promise<void> {
    const flushing = this.#flushing.catch(() => undefined).then(() => this.#flush());
    this.#flushing = flushing;
    return flushing;
  }

  /**
   * Changes the size. A larger disk needs room for its entries between the header and the first cluster: up to
   * 256 GiB in images with clusters of 1 MiB.
   *
   * @throws LamellaError `LIMIT_EXCEEDED` without that room, `UNSUPPORTED` for a preallocation, `READ_ONLY`
   */
  async resize(size: number, { preallocation = 'off' }: ResizeOptions = {}): Promise<void> {
    this.#writable();
    const { location } = this.#storage;
    if (preallocation !== 'off') {
      throw new LamellaError('UNSUPPORTED', `preallocation '${preallocation}'`, { location });
    }
    const plan = planSize(size, this.#header, location);
    await this.flush();
    if (plan.size < this.#size) {
      await this.#shrink(plan.size, plan.entries);
    } else {
      await this.#grow(plan.size, plan.entries);
    }
  }

  async check(options: CheckOptions): Promise<CheckResult> {
    if (this.#space !== undefined) {
      await this.flush();
    }
    return checkImage(
      { storage: this.#storage, header: this.#header, bat: this.#bat },
      { size: this.#size, ownEnd: this.#space?.end },
      options,
    );
  }

  /** Leaves a file of whole clusters that ends with the last one in use, and takes the mark away. */
  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    if (this.#space !== undefined) {
      await this.flush();
      const end = this.#end();
      if (this.#storage.size !== end) {
        await this.#storage.truncate(end);
      }
      this.#bat.setInUse(false);
      await this.flush();
    }
  }

  async #flush(): Promise<void> {
    const dropped = this.#dropped;
    const pages = this.#bat.takeChanges();
    this.#dropped = [];
    try {
      await this.#storage.flush();
      for (const { bytes, offset } of pages) {
        await this.#storage.write(bytes, offset);
      }
      if (pages.length > 0) {
        await this.#storage.flush();
      }
      for (const run of runsOf(dropped)) {
        await this.#storage.discard(this.#placeOf(run.first), run.count * this.clusterSize);
      }
    } catch (error) {
      this.#bat.giveBack(pages);
      this.#dropped.push(...dropped);
      throw error;
    }
    for (const run of runsOf(dropped)) {
      this.#space?.give(run);
    }
  }

  /**
   * What the disk gains reads as zeroes in the file before the header counts it: the rest of the last cluster,
   * entries that were there already, for whatever reason, and new ones.
   */
  async #grow(size: number, entries: number): Promise<void> {
    const before = { size: this.#size, entries: this.#bat.entries };
    const rest = alignUp(before.size, this.clusterSize) - before.size;
    const place = rest === 0 ? 0 : this.#bat.placeOf((before.size + rest) / this.clusterSize - 1);
    if (place !== 0) {
      await this.#storage.writeZeroes(place + this.clusterSize - rest, rest);
    }
    for (
      let index = Math.ceil(before.size / this.clusterSize);
      index < before.entries;
      index += 1
    ) {
      this.#drop(index);
    }
    try {
      this.#bat.setEntries(Math.max(entries, before.entries));
      await this.flush();
      this.#bat.setSize(size, this.#bat.entries);
      await this.flush();
    } catch (error) {
      this.#bat.setSize(before.size, before.entries);
      this.#bat.setEntries(before.entries);
      throw error;
    }
    this.#size = size;
  }

  /** The header has the new size before anything behind it is given up. */
  async #shrink(size: number, entries: number): Promise<void> {
    const before = { size: this.#size, entries: this.#bat.entries };
    try {
      this.#bat.setSize(size, entries);
      await this.flush();
    } catch (error) {
      this.#bat.setSize(before.size, before.entries);
      throw error;
    }
    this.#size = size;
    for (let index = entries; index < before.entries; index += 1) {
      this.#drop(index);
    }
    this.#bat.setEntries(entries);
  }

  #drop(index: number): void {
    const place = this.#bat.placeOf(index);
    if (place !== 0) {
      this.#dropped.push((place - this.#header.dataStart) / this.clusterSize);
      this.#bat.setPlace(index, 0);
    }
  }

  /** How many neighbouring clusters are all not stored, or stored one behind the other. */
  #countAlike(index: number, place: number, length: number): number {
    const most = Math.min(Math.ceil(length / this.clusterSize), MAX_RUN);
    let count = 1;
    while (count < most) {
      const expected = place === 0 ? 0 : place + count * this.clusterSize;
      const continues = this.#bat.placeOf(index + count) === expected;
      if (!continues || expected >= this.#storage.size) {
        break;
      }
      count += 1;
    }
    return count;
  }

  #assertInFile(index: number, place: number): void {
    const { dataStart } = this.#header;
    if (place < dataStart || place >= this.#storage.size) {
      throw new LamellaError('CORRUPT', `cluster ${index} of the disk lies outside the file`, {
        location: this.#storage.location,
        offset: this.#bat.entryOffset(index),
      });
    }
  }

  #placeOf(cluster: number): number {
    return this.#header.dataStart + cluster * this.clusterSize;
  }

  /** Where the last cluster in use ends. */
  #end(): number {
    let end = this.#header.dataStart;
    for (let index = 0; index < this.#bat.entries; index += 1) {
      const place = this.#bat.placeOf(index);
      end = place === 0 ? end : Math.max(end, place + this.clusterSize);
    }
    return end;
  }

  #writable(): Space {
    if (this.#space === undefined) {
      throw new LamellaError('READ_ONLY', 'the image was opened for reading', {
        location: this.#storage.location,
      });
    }
    return this.#space;
  }
}
