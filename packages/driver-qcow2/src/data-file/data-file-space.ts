import { alignUp, type Storage } from '@lamella/core';
import type { AllocatedRun } from '../refcount/allocator.js';
import type { ClusterSpace } from '../write/cluster-space.js';

const SECTOR = 512;

/**
 * The clusters of an external data file: each guest cluster has its own at the same offset, whether or not
 * anything refers to it. Nothing behind the disk's end is ever written, so that the file does not outgrow
 * the disk.
 */
export class DataFileSpace implements ClusterSpace {
  readonly end: number;
  readonly #data: Storage;
  #dropped = 0;

  /**
   * @param size - bytes of the guest's disk
   */
  constructor(data: Storage, size: number) {
    this.#data = data;
    this.end = alignUp(size, SECTOR);
  }

  /** Number of clusters that were dropped to be given back; tells whether a change dropped any. */
  get dropped(): number {
    return this.#dropped;
  }

  allocate(guest: number, wanted: number): AllocatedRun {
    return { offset: guest, count: wanted, fresh: guest >= this.#data.size };
  }

  drop(_offset: number, _length: number, giveBack: boolean): void {
    this.#dropped += giveBack ? 1 : 0;
  }
}
