import { type Clock, LamellaError } from '@lamella/core';
import type { Allocator } from './allocator.js';
import type { ChangeGate } from './change-gate.js';
import type { Flusher } from './flusher.js';
import { IDLE_PERIOD, IdleCleaner } from './idle-cleaner.js';
import type { NeedCheck } from './need-check.js';
import type { ParkingLot } from './parking-lot.js';

/** What a {@link Cleanliness} works with. */
export interface CleanlinessParts {
  readonly allocator: Allocator;
  readonly lot: ParkingLot;
  readonly flusher: Flusher;
  readonly needCheck: NeedCheck;
  readonly clock: Clock;
  /** Whether the tables are in order, as far as anybody knows. */
  readonly trusted: boolean;
  /** Opened to be checked, not to be used. */
  readonly forCheck: boolean;
}

/** Decides when an image that is open for writing may be marked as clean, and leaves it so. */
export class Cleanliness {
  readonly #parts: CleanlinessParts;
  readonly #cleaner: IdleCleaner;
  /** The tables were found to be in order, or nothing says that they are not. */
  trusted: boolean;

  /**
   * @param gate - asked when time has passed, not before
   */
  constructor(parts: CleanlinessParts, gate: () => ChangeGate) {
    this.#parts = parts;
    this.trusted = parts.trusted;
    this.#cleaner = new IdleCleaner(parts.clock, IDLE_PERIOD, () => this.#markClean(gate()));
  }

  /** The mapping was changed just now. */
  touch(): void {
    this.#cleaner.touch();
  }

  /** What went wrong behind everybody's back since the last time. */
  takeFailure(): { readonly error: unknown } | undefined {
    return this.#cleaner.takeFailure();
  }

  /**
   * Everything committed is durable and the file ends with its last cluster.
   *
   * @throws LamellaError as `Storage.write` and `Storage.flush`
   */
  async settle(): Promise<void> {
    const { flusher, allocator } = this.#parts;
    await flusher.flush();
    if (await allocator.trim()) {
      await flusher.sync();
    }
  }

  /** Marks nothing any more; done when a marking under way has ended. */
  stop(): Promise<void> {
    return this.#cleaner.stop();
  }

  /**
   * Leaves the file as it is to stay: everything durable, free clusters parked, not marked. Where there is
   * more to park than a moment's work, the mark stays, for the next writable open to find the rest.
   *
   * @param diskSize - bytes of the guest's disk
   * @throws LamellaError as {@link Cleanliness.settle}, and what went wrong before
   */
  async finish(diskSize: number): Promise<void> {
    await this.settle();
    const { allocator, needCheck, forCheck } = this.#parts;
    // A check by itself leaves the file to what it found.
    if (forCheck || !allocator.hasFree || !this.#sound) {
      await this.#clearMark();
    } else {
      await needCheck.set();
      if (!(await this.#park(diskSize))) {
        await this.#clearMark();
      }
    }
    this.#cleaner.throwFailure();
  }

  /** Whether clusters are left that could have been parked. */
  async #park(diskSize: number): Promise<boolean> {
    try {
      const more = await this.#parts.lot.fill(diskSize);
      await this.settle();
      return more;
    } catch (error) {
      if (error instanceof LamellaError && error.code === 'NO_SPACE') {
        // Nothing is lost by it, and the mark stays.
        return true;
      }
      throw error;
    }
  }

  /** After a while without changes: whether the image is marked as clean, or need not be tried again. */
  async #markClean(gate: ChangeGate): Promise<boolean> {
    if (gate.busy) {
      return false;
    }
    return gate.closedFor(async () => {
      if (gate.busy) {
        return false;
      }
      await this.settle();
      if (!this.#parts.allocator.hasFree) {
        // Otherwise only the mark tells the next open to look for them, should this process die.
        await this.#clearMark();
      }
      return true;
    });
  }

  /** Whether the tables are in order, in memory and in the file. */
  get #sound(): boolean {
    return this.trusted && !this.#parts.flusher.doubtful;
  }

  async #clearMark(): Promise<void> {
    if (this.#parts.needCheck.written && this.#sound) {
      await this.#parts.needCheck.clear();
    }
  }
}
