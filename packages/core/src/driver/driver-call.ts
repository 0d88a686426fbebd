import { isLamellaError, LamellaError } from '../errors/index.js';
import { shown } from './assert-driver.js';
import type { BlockDriver, OpenOptions } from './block-driver.js';
import type { Image } from './image.js';

/**
 * One call of a driver: whatever it fails with becomes a {@link LamellaError} that names the driver, except for
 * errors that only pass through it.
 */
export class DriverCall {
  readonly #format: string;
  readonly #location: string;
  readonly #passing = new Set<unknown>();

  /** @param location - the image, for messages */
  constructor({ format }: BlockDriver, location: string) {
    this.#format = format;
    this.#location = location;
  }

  /** A callback to give to the driver; its errors are its own and stay as they are. */
  callback<A extends readonly unknown[], R>(
    callback: (...parameters: A) => Promise<R>,
  ): (...parameters: A) => Promise<R> {
    return async (...parameters) => {
      try {
        return await callback(...parameters);
      } catch (error) {
        this.#passing.add(error);
        throw error;
      }
    };
  }

  /**
   * Carries the call out.
   *
   * @throws LamellaError what the driver throws; `DRIVER_FAILED` if that is another kind of error
   */
  async run<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw isLamellaError(error) || this.#passing.has(error)
        ? error
        : this.failure(error instanceof Error ? error.message : shown(error), error);
    }
  }

  /** The error to throw for a fault of the driver. */
  failure(what: string, cause?: unknown): LamellaError {
    return new LamellaError('DRIVER_FAILED', `the '${this.#format}' driver failed: ${what}`, {
      location: this.#location,
      hint: 'This is a fault of the driver, whatever the image holds: tell its author.',
      cause,
    });
  }
}

/**
 * Opens an image by its driver and makes sure that the driver gave one.
 *
 * @throws LamellaError what the driver throws; `DRIVER_FAILED` for any other failure of it
 */
export async function openByDriver(
  driver: BlockDriver,
  storage: Parameters<BlockDriver['open']>[0],
  options: OpenOptions,
): Promise<Image> {
  const call = new DriverCall(driver, storage.location);
  const { beforeWriting, openDataFile } = options;
  const image: unknown = await call.run(() =>
    driver.open(storage, {
      ...options,
      beforeWriting: beforeWriting && call.callback(beforeWriting),
      openDataFile: openDataFile && call.callback(openDataFile),
    }),
  );
  assertImage(image, call);
  return image;
}

function assertImage(value: unknown, call: DriverCall): asserts value is Image {
  if (typeof value !== 'object' || value === null) {
    throw call.failure(`its open gave ${shown(value)} instead of an image`);
  }
  const { size, clusterSize, references, map, close } = membersOf(value);
  if (!isCount(size, 0)) {
    throw call.failure(`its image has the size ${shown(size)}`);
  }
  if (!isCount(clusterSize, 1)) {
    throw call.failure(`its image has the cluster size ${shown(clusterSize)}`);
  }
  if (typeof references !== 'object' || references === null) {
    throw call.failure("its image has no 'references'");
  }
  if (typeof map !== 'function' || typeof close !== 'function') {
    throw call.failure(`its image has no method '${typeof map !== 'function' ? 'map' : 'close'}'`);
  }
}

function membersOf(value: object): { readonly [name in keyof Image]?: unknown } {
  return value;
}

function isCount(value: unknown, least: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least;
}
