/** Seconds over which a rate is taken: long enough to be steady, short enough to follow a change. */
const WINDOW = 5;
/** Least time between two samples. */
const STEP = 0.1;

interface Sample {
  readonly time: number;
  readonly done: number;
}

/** How fast something goes, over the last few seconds. */
export class RateMeter {
  readonly #samples: Sample[];

  /** @param time - of the beginning, in seconds */
  constructor(time: number) {
    this.#samples = [{ time, done: 0 }];
  }

  /** Notes that so much was done at a time. */
  add(time: number, done: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && this.#samples.length > 1 && time - last.time < STEP) {
      this.#samples.pop();
    }
    this.#samples.push({ time, done });
    while (this.#samples.length > 2 && time - (this.#samples[1]?.time ?? time) > WINDOW) {
      this.#samples.shift();
    }
  }

  /** Done in a second, up to `time`; 0 as long as nothing is known. */
  rate(time: number): number {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || time <= first.time) {
      return 0;
    }
    return Math.max(0, (last.done - first.done) / (time - first.time));
  }
}
