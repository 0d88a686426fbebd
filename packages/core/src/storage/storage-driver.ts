import type { InjectionToken } from 'tsyringe';
import type { CacheMode } from './cache-mode.js';
import type { StoragePermissions } from './permissions.js';
import type { Storage } from './storage.js';

/** How a storage is opened. */
export interface StorageOpenOptions {
  /** Whether writes will be made. */
  readonly writable: boolean;
  /** How writes reach the device; `'writeback'` by default. A storage without a cache ignores it. */
  readonly cache?: CacheMode | undefined;
  /**
   * Opens what lies below a filter, in the same way; given by the registry.
   *
   * @param location - with its scheme
   * @param readOnly - for reading, however the filter is opened
   * @throws LamellaError `UNKNOWN_SCHEME`, and what the driver of that scheme throws
   */
  readonly openBelow?: ((location: string, readOnly?: boolean) => Promise<Storage>) | undefined;
}

/** How a storage is made. */
export interface StorageCreateOptions {
  /** Empty an existing storage instead of failing with `ALREADY_EXISTS`. */
  readonly overwrite: boolean;
  /** Locks to take before the storage is emptied; none by default. See {@link Storage.lock}. */
  readonly permissions?: StoragePermissions | undefined;
}

/**
 * Opens storages of one scheme (`file`, `nbd`, `http`, …). A location with the scheme is `SCHEME:…`; one with
 * options is `json:` and an object whose `driver` is the scheme.
 */
export interface StorageDriver {
  /** The part before `:` in a location. `file` also serves locations without a scheme. */
  readonly scheme: string;

  /**
   * Opens an existing storage. Never blocks on a pipe or device that gives no random access.
   *
   * @throws LamellaError `NOT_FOUND`, `PERMISSION_DENIED`, `NOT_A_FILE`, `IO_ERROR`; `UNSUPPORTED` for
   * a cache mode that can't be had
   */
  open(location: string, options: StorageOpenOptions): Promise<Storage>;

  /**
   * Makes an empty, writable storage.
   *
   * @throws LamellaError `ALREADY_EXISTS`, `PERMISSION_DENIED`, `NOT_A_FILE`, `UNSUPPORTED`, `LOCKED`
   */
  create?(location: string, options: StorageCreateOptions): Promise<Storage>;

  /**
   * Removes a storage that a failed creation left behind. Missing is no error.
   *
   * @throws LamellaError `PERMISSION_DENIED`, `IO_ERROR`
   */
  remove?(location: string): Promise<void>;

  /**
   * The location that a reference within an image means.
   *
   * @param reference - as written in the image, without scheme
   * @param base - location of the image that names it
   */
  resolve(reference: string, base: string): string;

  /**
   * The location with links followed, for the reference policy. Touches directory entries only, never
   * the content.
   *
   * @throws LamellaError `NOT_FOUND`, `PERMISSION_DENIED`
   */
  realLocation(location: string): Promise<string>;
}

/** Multi-injection token: every registered {@link StorageDriver}. */
export const STORAGE_DRIVER: InjectionToken<StorageDriver> = Symbol.for('lamella.StorageDriver');
