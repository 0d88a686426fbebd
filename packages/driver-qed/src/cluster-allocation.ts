import { type Allocation, type Awaitable, isPromise, type Storage } from '@lamella/core';
import type { Allocator, Claim } from './allocator.js';
import type { ChangeGate } from './change-gate.js';
import type { Mapper } from './mapper.js';

/** The guest clusters that an allocating write fills. */
export interface GuestRun {
  /** Number of the first cluster. */
  readonly cluster: number;
  /** Byte of the write's start within the first cluster. */
  readonly skip: number;
  /** Bytes of the write. */
  readonly length: number;
}

/** Host clusters for a write, to be mapped when the write is done. */
export class ClusterAllocation implements Allocation {
  readonly kind = 'allocation';
  readonly length: number;
  readonly storage: Storage;
  readonly offset: number;
  readonly copyBefore: number;
  readonly copyAfter: number;
  readonly fresh: boolean;
  readonly #guest: GuestRun;
  readonly #claim: Claim;
  readonly #clusterSize: number;
  readonly #mapper: Mapper;
  readonly #allocator: Allocator;
  readonly #gate: ChangeGate;

  /** @param gate - was passed; is left when the allocation ends */
  constructor(
    storage: Storage,
    clusterSize: number,
    guest: GuestRun,
    claim: Claim,
    mapper: Mapper,
    allocator: Allocator,
    gate: ChangeGate,
  ) {
    const room = claim.count * clusterSize - guest.skip;
    this.length = Math.min(guest.length, room);
    this.storage = storage;
    this.offset = claim.offset + guest.skip;
    this.copyBefore = guest.skip;
    this.copyAfter = room - this.length;
    this.fresh = claim.fresh;
    this.#guest = guest;
    this.#claim = claim;
    this.#clusterSize = clusterSize;
    this.#mapper = mapper;
    this.#allocator = allocator;
    this.#gate = gate;
  }

  commit(): Awaitable<void> {
    const { offset, count } = this.#claim;
    const mapping = this.#mapper.set(this.#guest.cluster, count, offset, this.#clusterSize);
    if (isPromise(mapping)) {
      return mapping.then(() => this.#gate.leave());
    }
    this.#gate.leave();
    return undefined;
  }

  /** Called instead of a commit, or after one that failed: the gate is left once either way. */
  abort(): void {
    this.#allocator.release(this.#claim);
    this.#gate.leave();
  }
}
