import { inject, injectAll, injectable } from 'tsyringe';
import { isLamellaError, LamellaError } from '../errors/index.js';
import { LOGGER, type Logger, silentLogger } from '../platform/index.js';
import { assertDriver, shown } from './assert-driver.js';
import { BLOCK_DRIVER, type BlockDriver } from './block-driver.js';

/** Bytes of an image's head that {@link BlockDriver.probe} gets. */
export const PROBE_LENGTH = 4096;

/** The registered drivers by format, and the question which of them an image belongs to. */
@injectable()
export class DriverRegistry {
  readonly #drivers = new Map<string, BlockDriver>();
  /** Why no driver can be had. */
  #fault: LamellaError | undefined;
  readonly #logger: Logger;

  constructor(
    @injectAll(BLOCK_DRIVER, { isOptional: true }) drivers: BlockDriver[],
    @inject(LOGGER, { isOptional: true }) logger: Logger | undefined,
  ) {
    this.#logger = logger ?? silentLogger;
    for (const driver of drivers) {
      this.#add(driver);
    }
  }

  /** Names of all formats, sorted. */
  get formats(): readonly string[] {
    return [...this.#drivers.keys()].sort();
  }

  /**
   * The driver of a format.
   *
   * @param location - what it is wanted for, for messages
   * @throws LamellaError `UNKNOWN_FORMAT`; `DUPLICATE_DRIVER` when two drivers have one format name,
   * `DRIVER_FAILED` or `DRIVER_INCOMPATIBLE` when something was registered that can't be used
   */
  get(format: string, location?: string): BlockDriver {
    this.#assertSound();
    const driver = this.#drivers.get(format);
    if (driver === undefined) {
      throw new LamellaError('UNKNOWN_FORMAT', `no driver is registered for '${format}'`, {
        location,
        hint: `Known formats: ${this.formats.join(', ') || 'none'}.`,
      });
    }
    return driver;
  }

  /**
   * The driver that recognises a head most surely. A driver whose probe fails (throws, or answers what is no
   * number from 0 to 100) is passed over with a warning when another one recognises the head by something of
   * its own. When the only taker is one that takes everything, the image could be of the failed driver's format,
   * and reading or writing it as anything else would be wrong.
   *
   * @param head - first {@link PROBE_LENGTH} bytes, or all of a shorter storage
   * @param location - for messages
   * @throws LamellaError `UNKNOWN_FORMAT` when nobody wants it; `DRIVER_FAILED` when nobody recognises it and a
   * probe failed; as {@link get} for drivers that can't be used
   */
  probe(head: Uint8Array, location: string): BlockDriver {
    this.#assertSound();
    let best: BlockDriver | undefined;
    let bestScore = 0;
    let failure: LamellaError | undefined;
    for (const driver of this.#drivers.values()) {
      const answer = score(driver, head, location);
      if (typeof answer !== 'number') {
        this.#logger.warn(`${location}: ${answer.problem}`);
        failure ??= answer;
      } else if (answer > bestScore) {
        best = driver;
        bestScore = answer;
      }
    }
    if (failure !== undefined && bestScore <= TAKES_EVERYTHING) {
      throw failure;
    }
    if (best === undefined) {
      throw new LamellaError('UNKNOWN_FORMAT', 'no registered driver recognises the content', {
        location,
        hint: `Give the format explicitly. Known formats: ${this.formats.join(', ') || 'none'}.`,
      });
    }
    return best;
  }

  #add(driver: BlockDriver): void {
    try {
      assertDriver(driver, driver?.constructor?.name ?? '');
      if (this.#drivers.has(driver.format)) {
        throw duplicateDriver(driver.format);
      }
      this.#drivers.set(driver.format, driver);
    } catch (error) {
      // Not said in the constructor, where the container would hide it in an error of its own.
      this.#fault ??= isLamellaError(error) ? error : unreadable(error);
    }
  }

  #assertSound(): void {
    if (this.#fault !== undefined) {
      throw this.#fault;
    }
  }
}

function duplicateDriver(format: string): LamellaError {
  return new LamellaError(
    'DUPLICATE_DRIVER',
    `two drivers are registered for the format '${format}'`,
    { hint: 'Register only one of them in this container.' },
  );
}

function unreadable(cause: unknown): LamellaError {
  return new LamellaError('DRIVER_FAILED', `a registered driver can't be used: ${String(cause)}`, {
    cause,
  });
}

/** The score of raw, which wants what nobody else wants. */
const TAKES_EVERYTHING = 1;
const CERTAIN = 100;

/** What a driver says of a head, or what is wrong with its answer. */
function score(driver: BlockDriver, head: Uint8Array, location: string): number | LamellaError {
  try {
    const answer: unknown = driver.probe === undefined ? 0 : driver.probe(head, location);
    if (typeof answer === 'number' && answer >= 0 && answer <= CERTAIN) {
      return answer;
    }
    if (answer instanceof Promise) {
      answer.catch(() => undefined);
    }
    const what = answer instanceof Promise ? 'a promise' : shown(answer);
    return probeFailure(driver, location, `answered ${what}, which is no number from 0 to 100`);
  } catch (error) {
    const why = error instanceof Error ? error.message : shown(error);
    return probeFailure(driver, location, `failed: ${why}`, error);
  }
}

function probeFailure(
  { format }: BlockDriver,
  location: string,
  what: string,
  cause?: unknown,
): LamellaError {
  return new LamellaError(
    'DRIVER_FAILED',
    `the '${format}' driver can't tell whether this is one of its images: its probe ${what}`,
    { location, hint: 'Give the format explicitly, or do without that driver.', cause },
  );
}
