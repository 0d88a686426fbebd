import { InFlight } from './in-flight.js';

/**
 * Keeps a file's truncations apart from its other changes, and its closing apart from everything: a
 * truncation waits for the changes before it and holds up those after it.
 */
export class ChangeGate {
  /** Everything that uses the descriptor. */
  readonly #uses = new InFlight();
  /** Writes and the like. */
  readonly #changes = new InFlight();
  #truncation: Promise<void> | undefined;

  /** Resolves when nothing uses the descriptor. */
  idle(): Promise<void> {
    return this.#uses.idle();
  }

  /** Does what only uses the descriptor. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    this.#uses.begin();
    try {
      return await work();
    } finally {
      this.#uses.end();
    }
  }

  /** Does what changes the file, behind the truncations asked for before. */
  change(work: () => Promise<void>): Promise<void> {
    return this.use(async () => {
      while (this.#truncation !== undefined) {
        await this.#truncation;
      }
      this.#changes.begin();
      try {
        await work();
      } finally {
        this.#changes.end();
      }
    });
  }

  /** Does what changes the length, alone among the changes. */
  truncate(work: () => Promise<void>): Promise<void> {
    const earlier = this.#truncation;
    const truncation = this.use(async () => {
      await earlier;
      await this.#changes.idle();
      await work();
    });
    const settled = truncation
      .catch(() => undefined)
      .then(() => {
        if (this.#truncation === settled) {
          this.#truncation = undefined;
        }
      });
    this.#truncation = settled;
    return truncation;
  }
}
