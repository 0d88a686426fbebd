import { type Awaitable, isPromise } from '../bytes/index.js';

/** A bounded crowd of I/Os under way. The first failure is kept and reported once all have ended. */
export class Pending {
  readonly #limit: number;
  #active = 0;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** @param limit - most I/Os at once */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether one of them has failed: no use in starting more. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Takes note of an I/O that was just started. */
  add(work: Awaitable<void>): void {
    if (isPromise(work)) {
      this.#active += 1;
      work.then(
        () => this.#leave(),
        (error: unknown) => {
          this.fail(error);
          this.#leave();
        },
      );
    }
  }

  /** Takes note of a failure that happened while starting one. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Done when another I/O may be started. */
  room(): Awaitable<void> {
    return this.#active < this.#limit ? undefined : this.#until(() => this.#active < this.#limit);
  }

  /**
   * Done when none is left.
   *
   * @throws the first failure
   */
  async settle(): Promise<void> {
    await this.#until(() => this.#active === 0);
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #leave(): void {
    this.#active -= 1;
    this.#wake?.();
  }
}
