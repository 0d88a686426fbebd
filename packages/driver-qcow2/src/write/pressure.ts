import type { TableCache } from '@lamella/core';
import type { Drops } from '../refcount/drops.js';
import type { Flusher } from './flusher.js';

/** Most dropped references to remember before they are worked off. */
const MAX_DROPS = 65536;

/** What {@link Pressure} watches. */
export interface PressureParts {
  readonly caches: readonly TableCache[];
  readonly drops: Drops;
  readonly flusher: Flusher;
}

/** Watches how much unwritten metadata there is, so that memory stays bounded. */
export class Pressure {
  readonly #parts: PressureParts;

  constructor(parts: PressureParts) {
    this.#parts = parts;
  }

  /** Whether to {@link relieve} before anything else is changed. */
  get high(): boolean {
    if (this.#parts.drops.count >= MAX_DROPS) {
      return true;
    }
    for (const cache of this.#parts.caches) {
      if (cache.overfull) {
        return true;
      }
    }
    return false;
  }

  /**
   * Writes everything back.
   *
   * @throws LamellaError as a flush
   */
  relieve(): Promise<void> {
    return this.#parts.flusher.flush();
  }
}
