import type { Alarm, Clock } from '@lamella/core';

/** Milliseconds without a change of the mapping after which the image is marked as clean, as in QEMU. */
export const IDLE_PERIOD = 5000;

/**
 * Calls when nothing has changed for a while. An alarm is set once per period, not once per change, so
 * that changes cost one assignment.
 */
export class IdleCleaner {
  readonly #clock: Clock;
  readonly #period: number;
  readonly #clean: () => Promise<boolean>;
  #alarm: Alarm | undefined;
  #changed = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param period - milliseconds; 0 for never
   * @param clean - whether there is nothing left to do; otherwise it is called again after another period
   */
  constructor(clock: Clock, period: number, clean: () => Promise<boolean>) {
    this.#clock = clock;
    this.#period = period;
    this.#clean = clean;
  }

  /** Something changed just now. */
  touch(): void {
    this.#changed = true;
    if (this.#alarm === undefined && this.#running === undefined) {
      this.#wait();
    }
  }

  /**
   * Tells, once, that a call failed since the last time. A flush that failed behind everybody's back
   * may have lost data, so whoever asks next has to be told.
   */
  takeFailure(): { readonly error: unknown } | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** Throws what {@link IdleCleaner.takeFailure} would tell. */
  throwFailure(): void {
    const failure = this.takeFailure();
    if (failure !== undefined) {
      throw failure.error;
    }
  }

  /** No more calls; done when one under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#alarm?.cancel();
    this.#alarm = undefined;
    await this.#running;
  }

  #wait(): void {
    if (this.#period > 0 && !this.#stopped) {
      this.#changed = false;
      this.#alarm = this.#clock.schedule(this.#period, () => this.#ring());
    }
  }

  #ring(): void {
    this.#alarm = undefined;
    if (this.#changed) {
      this.#wait();
      return;
    }
    this.#running = this.#clean()
      .catch((error: unknown) => {
        this.#failure ??= { error };
        return false;
      })
      .then((done) => {
        this.#running = undefined;
        if (!done || this.#changed) {
          this.#wait();
        }
      });
  }
}
