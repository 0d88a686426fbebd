import type { InjectionToken } from 'tsyringe';

/** Where warnings go. The library never prints. */
export interface Logger {
  /**
   * Something the user should know that did not stop the operation.
   *
   * @param message - one sentence, naming the image
   */
  warn(message: string): void;
}

/** Token of the {@link Logger}; without a registration, warnings are dropped. */
export const LOGGER: InjectionToken<Logger> = Symbol.for('lamella.Logger');

/** A logger that drops everything. */
export const silentLogger: Logger = Object.freeze({ warn(): void {} });
