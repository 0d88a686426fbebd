import { type Awaitable, alignUp, LamellaError, type Storage } from '@lamella/core';

/** The file is grown ahead by this many clusters at a time, as far as {@link MAX_GROWTH} allows. */
const GROWTH_CLUSTERS = 64;
/** Most bytes to grow ahead. */
const MAX_GROWTH = 16 * 1024 * 1024;
/** Most runs in the free list; what is beyond stays leaked until the next repair. */
const MAX_FREE_RUNS = 65536;

/** Neighbouring clusters of the file. */
export interface HostRun {
  /** Byte offset of the first. */
  readonly offset: number;
  /** Clusters. */
  readonly count: number;
}

/** Clusters that were set aside for somebody. */
export interface Claim extends HostRun {
  /** They read as zeroes. */
  readonly fresh: boolean;
}

/** Where an {@link Allocator} starts. */
export interface AllocatorState {
  /** Byte offset behind the last cluster in use; a multiple of the cluster size. */
  readonly end: number;
  /** Clusters before `end` that nothing refers to. */
  readonly free: readonly HostRun[];
  /** Whether there are more of them than `free` lists. */
  readonly more?: boolean | undefined;
}

/**
 * Gives out clusters of the file: aborted and leaked ones first, then new ones at its end. The file
 * grows in steps ahead of need, always to whole clusters, so most claims are done at once. In memory
 * only: QED has no record of free space.
 *
 * Every claim and release takes constant time.
 */
export class Allocator {
  readonly #storage: Storage;
  readonly #clusterSize: number;
  /** A stack: only its top is looked at. */
  #free: HostRun[];
  #end: number;
  /** Bytes of the file that may be given out without growing it. */
  #reserved: number;
  /** New clusters from here on were never given out and read as zeroes. */
  #freshFrom: number;
  #growing: Promise<void> | undefined;
  #grown = false;
  /** There are unused clusters before the end that the list does not hold. */
  #more: boolean;

  constructor(storage: Storage, clusterSize: number, state: AllocatorState) {
    this.#storage = storage;
    this.#clusterSize = clusterSize;
    this.#end = state.end;
    this.#reserved = storage.size - (storage.size % clusterSize);
    this.#freshFrom = alignUp(storage.size, clusterSize);
    this.#free = state.free.slice(0, MAX_FREE_RUNS);
    this.#more = state.more === true || state.free.length > MAX_FREE_RUNS;
    this.#grown = state.end < this.#reserved;
  }

  /** Whether there are clusters before {@link Allocator.end} that nobody uses. */
  get hasFree(): boolean {
    return this.#free.length > 0 || this.#more;
  }

  /** Gives out the longest free runs first from now on. */
  preferLong(): void {
    this.#free.sort((a, b) => a.count - b.count);
  }

  /** Up to `max` neighbouring clusters of the free list, without growing the file. */
  takeFree(max: number): HostRun | undefined {
    const top = this.#free.pop();
    if (top === undefined || top.count <= max) {
      return top;
    }
    const offset = top.offset + max * this.#clusterSize;
    this.#free.push({ offset, count: top.count - max });
    return { offset: top.offset, count: max };
  }

  /** Starts over from what a check found; nothing may be set aside at the moment. */
  adopt(state: AllocatorState): void {
    this.#end = state.end;
    this.#reserved = this.#storage.size - (this.#storage.size % this.#clusterSize);
    this.#freshFrom = alignUp(this.#storage.size, this.#clusterSize);
    this.#free = state.free.slice(0, MAX_FREE_RUNS);
    this.#more = state.more === true || state.free.length > MAX_FREE_RUNS;
  }

  /** Byte offset behind the last cluster given out; everything that is mapped lies before it. */
  get end(): number {
    return this.#end;
  }

  /**
   * Up to `count` neighbouring clusters, at least one.
   *
   * @throws LamellaError `NO_SPACE`, `LIMIT_EXCEEDED`, and as `Storage.truncate`
   */
  claim(count: number): Awaitable<Claim> {
    const top = this.#free.at(-1);
    return top === undefined
      ? this.#claimNew(count)
      : this.#claimFree(top, Math.min(count, top.count));
  }

  /**
   * Exactly `count` neighbouring clusters.
   *
   * @throws LamellaError as {@link Allocator.claim}
   */
  claimAll(count: number): Awaitable<Claim> {
    const top = this.#free.at(-1);
    return top === undefined || top.count < count
      ? this.#claimNew(count)
      : this.#claimFree(top, count);
  }

  /** Takes clusters back that nothing refers to. */
  release(run: HostRun): void {
    if (run.offset + run.count * this.#clusterSize !== this.#end) {
      if (this.#free.length < MAX_FREE_RUNS) {
        this.#free.push({ offset: run.offset, count: run.count });
      } else {
        this.#more = true;
      }
      return;
    }
    this.#end = run.offset;
    this.#absorb();
  }

  /**
   * Cuts off what the file was grown ahead.
   *
   * @returns whether there was anything to cut
   * @throws LamellaError as `Storage.truncate`
   */
  async trim(): Promise<boolean> {
    if (!this.#grown) {
      return false;
    }
    this.#free.sort((a, b) => a.offset - b.offset);
    this.#absorb();
    const size = Math.min(this.#end, this.#reserved);
    await this.#storage.truncate(size);
    this.#reserved = size;
    this.#grown = false;
    return true;
  }

  /** Free runs that the end has come down to belong to the space behind it. */
  #absorb(): void {
    for (
      let top = this.#free.at(-1);
      top !== undefined && top.offset + top.count * this.#clusterSize === this.#end;
      top = this.#free.at(-1)
    ) {
      this.#end = top.offset;
      this.#free.pop();
    }
  }

  #claimFree(top: HostRun, count: number): Awaitable<Claim> {
    this.#free.pop();
    if (top.count > count) {
      const offset = top.offset + count * this.#clusterSize;
      this.#free.push({ offset, count: top.count - count });
    }
    return this.#backed({ offset: top.offset, count, fresh: false });
  }

  #claimNew(count: number): Awaitable<Claim> {
    const offset = this.#end;
    const end = offset + count * this.#clusterSize;
    if (!Number.isSafeInteger(end)) {
      throw new LamellaError('LIMIT_EXCEEDED', 'the image file would grow beyond 8 PiB', {
        location: this.#storage.location,
        offset,
        hint: 'Convert the image to a new one to drop unused space.',
      });
    }
    const fresh = offset >= this.#freshFrom;
    this.#end = end;
    this.#freshFrom = Math.max(this.#freshFrom, end);
    return this.#backed({ offset, count, fresh });
  }

  /** The claim, once the file is long enough for it. */
  #backed(claim: Claim): Awaitable<Claim> {
    const end = claim.offset + claim.count * this.#clusterSize;
    return end <= this.#reserved ? claim : this.#grow(claim, end);
  }

  async #grow(claim: Claim, end: number): Promise<Claim> {
    try {
      while (end > this.#reserved) {
        this.#growing ??= this.#truncateAhead().finally(() => {
          this.#growing = undefined;
        });
        await this.#growing;
      }
    } catch (error) {
      this.release(claim);
      throw error;
    }
    return claim;
  }

  async #truncateAhead(): Promise<void> {
    const step = Math.min(
      GROWTH_CLUSTERS * this.#clusterSize,
      Math.max(MAX_GROWTH, this.#clusterSize),
    );
    const target = Math.max(this.#end, this.#reserved + step);
    await this.#storage.truncate(target);
    this.#reserved = target;
    this.#grown = true;
  }
}
