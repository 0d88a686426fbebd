import type { Allocation, Awaitable, Storage } from '@lamella/core';
import type { Allocator, Claim } from './allocator.js';
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

  constructor(
    storage: Storage,
    clusterSize: number,
    guest: GuestRun,
    claim: Claim,
    mapper: Mapper,
    allocator: Allocator,
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
  }

  commit(): Awaitable<void> {
    const { offset, count } = this.#claim;
    return this.#mapper.set(this.#guest.cluster, count, offset, this.#clusterSize);
  }

  abort(): void {
    this.#allocator.release(this.#claim);
  }
}
