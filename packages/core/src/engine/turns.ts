/** A place in an order. */
export interface Turn {
  /** Done when the one before has begun. */
  readonly before: Promise<void>;
  /** To be called, once or more often, when this one has begun or never will. */
  readonly begun: () => void;
}

/** Keeps things that are prepared side by side in the order in which they asked for their turns. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** The next turn. */
  take(): Turn {
    const before = this.#last;
    let begun: () => void = () => undefined;
    this.#last = new Promise((resolve) => {
      begun = resolve;
    });
    return { before, begun };
  }
}
