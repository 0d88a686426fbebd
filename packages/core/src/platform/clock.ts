import type { InjectionToken } from 'tsyringe';

/** Something that is to happen later. */
export interface Alarm {
  /** Takes it back; nothing happens if it is over already. */
  cancel(): void;
}

/** Time, as a part that tests can drive by hand. */
export interface Clock {
  /** Milliseconds since some moment, with fractions; never runs backwards. */
  now(): number;

  /**
   * Calls once after a while. Waiting alone keeps no process alive.
   *
   * @param milliseconds - 0 or more
   * @param action - must not throw
   */
  schedule(milliseconds: number, action: () => void): Alarm;
}

/** Token of the {@link Clock}; without a registration, {@link systemClock} is used. */
export const CLOCK: InjectionToken<Clock> = Symbol.for('lamella.Clock');

/** The platform's own timers. */
export const systemClock: Clock = Object.freeze({
  now: () => performance.now(),
  schedule(milliseconds: number, action: () => void): Alarm {
    const timer = setTimeout(action, milliseconds);
    letGo(timer);
    return {
      cancel(): void {
        clearTimeout(timer);
      },
    };
  },
});

/** Node.js and others give an object and wait for it to end, unless told not to; browsers give a number. */
function letGo(timer: unknown): void {
  if (typeof timer === 'object' && timer !== null && 'unref' in timer) {
    const { unref } = timer;
    if (typeof unref === 'function') {
      unref.call(timer);
    }
  }
}
