import type { Awaitable, CachedSlice } from '@lamella/core';
import { type GuestPosition, locate } from '../mapping/guest-position.js';
import { KIND, ZERO_FLAG } from '../mapping/l2-entry.js';
import type { EntryWriter } from './entry-writer.js';
import type { Pressure } from './pressure.js';

/** How a range is cleared. */
export interface ClearRule {
  /** Unallocated clusters read as zeroes here. */
  readonly zeroBelow: boolean;
  /** Host clusters may go. */
  readonly unmap: boolean;
  /** Clusters become unallocated, whatever the backing layer shows there. */
  readonly forget?: boolean;
}

/** What becomes of an entry. */
type Change = 'keep' | 'stop' | 'zero' | 'flag' | 'unallocated';

/** Makes clusters read as zeroes by changing L2 entries only. */
export class Clearer {
  readonly #writer: EntryWriter;
  readonly #pressure: Pressure;

  constructor(writer: EntryWriter, pressure: Pressure) {
    this.#writer = writer;
    this.#pressure = pressure;
  }

  /**
   * Clears the longest prefix of a range of whole clusters that it can.
   *
   * @param length - bytes; may end within the disk's last cluster
   * @returns bytes done
   * @throws LamellaError `CORRUPT`, `NO_SPACE`, `LIMIT_EXCEEDED`, `IO_ERROR`
   */
  clear(offset: number, length: number, rule: ClearRule): Awaitable<number> {
    if (!this.#writer.geometry.hasZeroFlag && !rule.zeroBelow) {
      return 0;
    }
    const end = offset + length;
    const pass = this.#pass(offset, end, rule);
    return pass.complete
      ? Math.min(pass.offset, end) - offset
      : this.#clearSlowly(offset, pass.offset, end, rule);
  }

  async #clearSlowly(start: number, from: number, end: number, rule: ClearRule): Promise<number> {
    let offset = from;
    for (;;) {
      await this.#prepare(offset);
      const pass = this.#pass(offset, end, rule);
      if (pass.complete) {
        return Math.min(pass.offset, end) - start;
      }
      offset = pass.offset;
    }
  }

  async #prepare(offset: number): Promise<void> {
    const { tables, geometry } = this.#writer;
    if (this.#pressure.high) {
      await this.#pressure.relieve();
    }
    const { l1Index, sliceIndex } = locate(geometry, offset);
    if (tables.offset(l1Index) !== 0 && tables.cached(l1Index, sliceIndex) === undefined) {
      await tables.load(l1Index, sliceIndex);
    } else {
      await tables.prepare(l1Index, sliceIndex);
    }
  }

  /** Goes on as far as metadata in memory allows. */
  #pass(
    from: number,
    end: number,
    rule: ClearRule,
  ): { readonly offset: number; readonly complete: boolean } {
    let offset = from;
    while (offset < end) {
      const at = locate(this.#writer.geometry, offset);
      const step = this.#pressure.high ? undefined : this.#step(at, end - offset, rule);
      if (step === undefined) {
        return { offset, complete: false };
      }
      offset += step.bytes;
      if (step.stopped) {
        break;
      }
    }
    return { offset, complete: true };
  }

  /** Clears within one slice; undefined if something has to be brought into memory or made first. */
  #step(
    at: GuestPosition,
    length: number,
    rule: ClearRule,
  ): { readonly bytes: number; readonly stopped: boolean } | undefined {
    const { geometry, tables } = this.#writer;
    const count = Math.min(
      Math.ceil(length / geometry.clusterSize),
      geometry.sliceEntries - at.entry,
    );
    const whole = { bytes: count * geometry.clusterSize, stopped: false };
    if (tables.offset(at.l1Index) === 0) {
      return rule.zeroBelow ? whole : undefined;
    }
    const slice = tables.cached(at.l1Index, at.sliceIndex);
    if (slice === undefined) {
      return undefined;
    }
    for (let i = 0; i < count; i += 1) {
      const change = this.#change(slice, at.entry + i, rule);
      if (change === 'stop') {
        return { bytes: i * geometry.clusterSize, stopped: true };
      }
      if (change !== 'keep') {
        if (tables.writable(at.l1Index, at.sliceIndex) !== slice) {
          return undefined;
        }
        this.#apply(slice, at.entry + i, change);
      }
    }
    return whole;
  }

  #change(slice: CachedSlice, index: number, rule: ClearRule): Change {
    const { entries, geometry } = this.#writer;
    const kind = entries.kind(slice, index);
    if (rule.forget === true && kind !== KIND.invalid) {
      const zeroed = geometry.extended && entries.zeroes(slice, index) !== 0;
      return kind === KIND.unallocated && !zeroed ? 'keep' : 'unallocated';
    }
    switch (kind) {
      case KIND.unallocated:
        return rule.zeroBelow ? 'keep' : 'zero';
      case KIND.zero:
        return 'keep';
      case KIND.preallocated:
        return rule.unmap ? 'zero' : this.#keepPreallocated(slice, index);
      case KIND.data:
        if (!geometry.hasZeroFlag) {
          return rule.unmap ? 'unallocated' : 'stop';
        }
        return rule.unmap ? 'zero' : 'flag';
      case KIND.compressed:
        return geometry.hasZeroFlag ? 'zero' : rule.unmap ? 'unallocated' : 'stop';
      default:
        throw entries.invalid(slice, index);
    }
  }

  /** A preallocated extended entry may have subclusters that do not read as zeroes yet. */
  #keepPreallocated(slice: CachedSlice, index: number): Change {
    const { entries, geometry } = this.#writer;
    return geometry.extended && ~entries.zeroes(slice, index) !== 0 ? 'flag' : 'keep';
  }

  #apply(slice: CachedSlice, index: number, change: 'zero' | 'flag' | 'unallocated'): void {
    const { entries, geometry, tables } = this.#writer;
    if (change !== 'flag') {
      this.#writer.drop(slice, index, true);
    }
    if (geometry.extended) {
      if (change === 'unallocated') {
        entries.setBitmap(slice, index, 0, 0);
      } else {
        entries.setAllZeroes(slice, index);
      }
      if (change !== 'flag') {
        entries.set(slice, index, 0, 0);
      }
    } else if (change === 'flag') {
      const low = (entries.low(slice, index) | ZERO_FLAG) >>> 0;
      entries.set(slice, index, entries.high(slice, index), low);
    } else {
      entries.set(slice, index, 0, change === 'zero' ? ZERO_FLAG : 0);
    }
    tables.cache.markDirty(slice);
  }
}
