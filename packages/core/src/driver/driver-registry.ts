import { inject, injectAll, injectable } from 'tsyringe';
import { LamellaError } from '../errors/index.js';
import { LOGGER, type Logger, silentLogger } from '../platform/index.js';
import { BLOCK_DRIVER, type BlockDriver } from './block-driver.js';

/** Bytes of an image's head that {@link BlockDriver.probe} gets. */
export const PROBE_LENGTH = 4096;

/** The registered drivers by format, and the question which of them an image belongs to. */
@injectable()
export class DriverRegistry {
  readonly #drivers = new Map<string, BlockDriver>();
  readonly #duplicates = new Set<string>();
  readonly #logger: Logger;

  constructor(
    @injectAll(BLOCK_DRIVER, { isOptional: true }) drivers: BlockDriver[],
    @inject(LOGGER, { isOptional: true }) logger: Logger | undefined,
  ) {
    this.#logger = logger ?? silentLogger;
    for (const driver of drivers) {
      if (this.#drivers.has(driver.format)) {
        this.#duplicates.add(driver.format);
      }
      this.#drivers.set(driver.format, driver);
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
   * @throws LamellaError `UNKNOWN_FORMAT`; `DUPLICATE_DRIVER` when two drivers have one format name
   */
  get(format: string, location?: string): BlockDriver {
    this.#assertDistinct();
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
   * The driver that recognises a head most surely. A driver whose probe throws is passed over with a
   * warning, so that one bad driver does not keep the others from working.
   *
   * @param head - first {@link PROBE_LENGTH} bytes, or all of a shorter storage
   * @param location - for messages
   * @throws LamellaError `UNKNOWN_FORMAT` when nobody wants it; `DUPLICATE_DRIVER` as {@link get}
   */
  probe(head: Uint8Array, location: string): BlockDriver {
    this.#assertDistinct();
    let best: BlockDriver | undefined;
    let bestScore = 0;
    for (const driver of this.#drivers.values()) {
      const score = this.#score(driver, head, location);
      if (score > bestScore) {
        best = driver;
        bestScore = score;
      }
    }
    if (best === undefined) {
      throw new LamellaError('UNKNOWN_FORMAT', 'no registered driver recognises the content', {
        location,
        hint: `Give the format explicitly. Known formats: ${this.formats.join(', ') || 'none'}.`,
      });
    }
    return best;
  }

  /** Not said in the constructor, where the container would hide it in an error of its own. */
  #assertDistinct(): void {
    for (const format of this.#duplicates) {
      throw new LamellaError(
        'DUPLICATE_DRIVER',
        `two drivers are registered for the format '${format}'`,
        { hint: 'Register only one of them in this container.' },
      );
    }
  }

  #score(driver: BlockDriver, head: Uint8Array, location: string): number {
    try {
      return driver.probe?.(head, location) ?? 0;
    } catch (error) {
      this.#logger.warn(
        `${location}: the probe of the '${driver.format}' driver failed: ${String(error)}`,
      );
      return 0;
    }
  }
}
