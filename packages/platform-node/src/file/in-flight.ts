/** Counts operations under way, so that somebody can wait until there are none. */
export class InFlight {
  #count = 0;
  #waiting: (() => void)[] = [];

  /** One more has begun. */
  begin(): void {
    this.#count += 1;
  }

  /** One has ended, well or not. */
  end(): void {
    this.#count -= 1;
    if (this.#count === 0 && this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const wake of waiting) {
        wake();
      }
    }
  }

  /** Resolves when none is under way. */
  async idle(): Promise<void> {
    while (this.#count > 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
