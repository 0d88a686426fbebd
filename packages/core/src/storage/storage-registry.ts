import { injectAll, injectable } from 'tsyringe';
import { LamellaError } from '../errors/index.js';
import type { Storage } from './storage.js';
import { STORAGE_DRIVER, type StorageDriver, type StorageOpenOptions } from './storage-driver.js';

/** A location taken apart. */
export interface StorageName {
  /** The driver that serves it. */
  readonly driver: StorageDriver;
  /** The location as that driver wants it. */
  readonly location: string;
}

/** Two letters at least, so that `C:\disk.img` stays a path. */
const SCHEME = /^([a-z][a-z0-9+.-]+):/i;

/** The registered storage drivers by scheme. */
@injectable()
export class StorageRegistry {
  readonly #drivers = new Map<string, StorageDriver>();
  readonly #duplicates = new Set<string>();

  constructor(@injectAll(STORAGE_DRIVER, { isOptional: true }) drivers: StorageDriver[]) {
    for (const driver of drivers) {
      if (this.#drivers.has(driver.scheme)) {
        this.#duplicates.add(driver.scheme);
      }
      this.#drivers.set(driver.scheme, driver);
    }
  }

  /**
   * The driver that serves a location: by its scheme, or `file` for one without.
   *
   * @throws LamellaError `UNKNOWN_SCHEME`; `DUPLICATE_DRIVER` when two drivers serve that scheme
   */
  resolve(location: string): StorageName {
    const named = SCHEME.exec(location)?.[1] ?? 'file';
    const scheme = named === 'json' ? (driverOf(location) ?? named) : named;
    const driver = this.#drivers.get(scheme.toLowerCase());
    if (this.#duplicates.has(scheme.toLowerCase())) {
      throw new LamellaError(
        'DUPLICATE_DRIVER',
        `two storage drivers are registered for the scheme '${scheme}'`,
        { location, hint: 'Register only one of them in this container.' },
      );
    }
    if (driver === undefined) {
      throw new LamellaError('UNKNOWN_SCHEME', `no storage driver serves '${scheme}:'`, {
        location,
        hint: 'For a file whose name has a colon, write ./ or file: before it.',
      });
    }
    return { driver, location };
  }

  /**
   * Opens a storage by its location, filters with what lies below them.
   *
   * @throws LamellaError `UNKNOWN_SCHEME`, `DUPLICATE_DRIVER`, and what the driver throws
   */
  async open(location: string, options: StorageOpenOptions): Promise<Storage> {
    const name = this.resolve(location);
    return name.driver.open(name.location, {
      ...options,
      openBelow: (below, readOnly = false) =>
        this.open(below, { ...options, writable: options.writable && !readOnly }),
    });
  }
}

/** The driver that a `json:` location names, if it is one. */
function driverOf(location: string): string | undefined {
  try {
    const options: unknown = JSON.parse(location.slice('json:'.length));
    return typeof options === 'object' &&
      options !== null &&
      'driver' in options &&
      typeof options.driver === 'string'
      ? options.driver
      : undefined;
  } catch {
    return undefined;
  }
}
