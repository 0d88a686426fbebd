import type { Awaitable } from '@lamella/core';
import { isPromise } from '@lamella/core';
import type { Geometry } from '../geometry.js';
import type { L2Entries } from '../mapping/l2-entries.js';
import { COPIED, hostOffset, KIND } from '../mapping/l2-entry.js';
import type { WholeTable } from './table-walk.js';

/** Looks at the COPIED flags of whole L2 tables, and changes them in memory. */
export class CopiedFlags {
  readonly #entries: L2Entries;
  readonly #clusterSize: number;
  readonly #count: number;

  constructor(entries: L2Entries, { clusterSize, l2EntrySize }: Geometry) {
    this.#entries = entries;
    this.#clusterSize = clusterSize;
    this.#count = clusterSize / l2EntrySize;
  }

  /** Whether an entry has the flag. */
  any(table: WholeTable): boolean {
    for (let index = 0; index < this.#count; index += 1) {
      if ((this.#entries.high(table, index) & COPIED) !== 0) {
        return true;
      }
    }
    return false;
  }

  /** Takes the flag off all entries. */
  clear(table: WholeTable): void {
    for (let index = 0; index < this.#count; index += 1) {
      const high = this.#entries.high(table, index);
      if ((high & COPIED) !== 0) {
        this.#put(table, index, high & ~COPIED);
      }
    }
  }

  /**
   * Whether an entry's flag is not what it should be.
   *
   * @param alone - whether a host cluster's refcount will be one; undefined to pass over it
   */
  async differ(
    table: WholeTable,
    alone: (cluster: number) => Awaitable<boolean | undefined>,
  ): Promise<boolean> {
    for (let index = 0; index < this.#count; index += 1) {
      const cluster = this.#cluster(table, index);
      if (cluster !== undefined) {
        const answer = alone(cluster);
        const wanted = isPromise(answer) ? await answer : answer;
        const copied = (this.#entries.high(table, index) & COPIED) !== 0;
        if (wanted !== undefined && wanted !== copied) {
          return true;
        }
      }
    }
    return false;
  }

  /** Sets every flag as it should be. */
  async update(table: WholeTable, alone: (cluster: number) => Awaitable<boolean>): Promise<void> {
    for (let index = 0; index < this.#count; index += 1) {
      const cluster = this.#cluster(table, index);
      if (cluster !== undefined) {
        const answer = alone(cluster);
        const wanted = isPromise(answer) ? await answer : answer;
        const high = this.#entries.high(table, index);
        this.#put(table, index, wanted ? high | COPIED : high & ~COPIED);
      }
    }
  }

  /** The host cluster of an entry that can have the flag. */
  #cluster(table: WholeTable, index: number): number | undefined {
    const kind = this.#entries.kind(table, index);
    return kind === KIND.data || kind === KIND.preallocated
      ? hostOffset(this.#entries.high(table, index), this.#entries.low(table, index)) /
          this.#clusterSize
      : undefined;
  }

  #put(table: WholeTable, index: number, high: number): void {
    this.#entries.set(table, index, high >>> 0, this.#entries.low(table, index));
  }
}
