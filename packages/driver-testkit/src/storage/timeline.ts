/** Moments, in order of what happened; shared by those whose events are to be compared. */
export class Timeline {
  #now = 0;

  /** Begins the next moment. */
  tick(): number {
    this.#now += 1;
    return this.#now;
  }

  /** The latest moment; 0 before anything happened. */
  get now(): number {
    return this.#now;
  }
}
