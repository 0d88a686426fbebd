import {
  type Awaitable,
  type CachedSlice,
  isPromise,
  type Placement,
  type Storage,
} from '@lamella/core';
import type { Allocator, Claim } from './allocator.js';
import type { ChangeGate } from './change-gate.js';
import { ClusterAllocation, type GuestRun } from './cluster-allocation.js';
import { entryAt, unplacedLength, ZERO } from './entries.js';
import { type Geometry, inSlice, SLICE_ENTRIES } from './geometry.js';
import type { Mapper } from './mapper.js';
import type { Tables } from './tables.js';

/** What a {@link Placer} works with. */
export interface PlacerParts {
  readonly storage: Storage;
  readonly geometry: Geometry;
  readonly tables: Tables;
  readonly mapper: Mapper;
  readonly allocator: Allocator;
  readonly gate: ChangeGate;
}

/** Answers where writes go. One answer covers clusters of one slice (512 entries) at most. */
export class Placer {
  readonly #storage: Storage;
  readonly #tables: Tables;
  readonly #mapper: Mapper;
  readonly #allocator: Allocator;
  readonly #gate: ChangeGate;
  readonly #clusterSize: number;
  readonly #tableEntries: number;

  constructor(parts: PlacerParts) {
    this.#storage = parts.storage;
    this.#tables = parts.tables;
    this.#mapper = parts.mapper;
    this.#allocator = parts.allocator;
    this.#gate = parts.gate;
    this.#clusterSize = parts.geometry.clusterSize;
    this.#tableEntries = parts.geometry.tableEntries;
  }

  /** See `Image.place`. */
  place(offset: number, length: number): Awaitable<Placement> {
    const cluster = Math.floor(offset / this.#clusterSize);
    const l1Index = Math.floor(cluster / this.#tableEntries);
    const guest = { cluster, skip: offset - cluster * this.#clusterSize, length };
    const l2Index = cluster - l1Index * this.#tableEntries;
    const table = this.#tables.tableOf(l1Index);
    return isPromise(table)
      ? table.then((found) => this.#placeInTable(found, l2Index, guest))
      : this.#placeInTable(table, l2Index, guest);
  }

  #placeInTable(table: number, l2Index: number, guest: GuestRun): Awaitable<Placement> {
    if (table === 0) {
      return this.#allocate(
        guest,
        Math.min(this.#clusters(guest), SLICE_ENTRIES - inSlice(l2Index)),
      );
    }
    const slice = this.#tables.entriesOf(table, l2Index);
    return isPromise(slice)
      ? slice.then((loaded) => this.#placeInSlice(loaded, inSlice(l2Index), guest))
      : this.#placeInSlice(slice, inSlice(l2Index), guest);
  }

  #placeInSlice(slice: CachedSlice, index: number, guest: GuestRun): Awaitable<Placement> {
    const entry = entryAt(slice, index);
    if (entry <= ZERO) {
      return this.#allocate(guest, unplacedLength(slice, index, this.#clusters(guest)));
    }
    const clusters = this.#tables.dataRun(slice, index, entry, guest.skip + guest.length);
    return {
      kind: 'in-place',
      length: Math.min(guest.length, clusters * this.#clusterSize - guest.skip),
      storage: this.#storage,
      offset: entry + guest.skip,
    };
  }

  #allocate(guest: GuestRun, count: number): Awaitable<Placement> {
    const passing = this.#gate.pass();
    const claim = isPromise(passing) ? passing.then(() => this.#claim(count)) : this.#claim(count);
    return isPromise(claim)
      ? claim.then((claimed) => this.#allocation(guest, claimed))
      : this.#allocation(guest, claim);
  }

  /** Clusters for somebody who passed the gate, and leaves it if there are none. */
  #claim(count: number): Awaitable<Claim> {
    try {
      const claim = this.#allocator.claim(count);
      return isPromise(claim) ? claim.catch((error: unknown) => this.#fail(error)) : claim;
    } catch (error) {
      return this.#fail(error);
    }
  }

  #fail(error: unknown): never {
    this.#gate.leave();
    throw error;
  }

  #allocation(guest: GuestRun, claim: Claim): ClusterAllocation {
    return new ClusterAllocation(
      this.#storage,
      this.#clusterSize,
      guest,
      claim,
      this.#mapper,
      this.#allocator,
      this.#gate,
    );
  }

  /** Clusters that the write touches. */
  #clusters(guest: GuestRun): number {
    return Math.ceil((guest.skip + guest.length) / this.#clusterSize);
  }
}
