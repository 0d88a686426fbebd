import {
  type ChainResolver,
  isLamellaError,
  LamellaError,
  permissionsFor,
  permissionsToCreate,
  type Reference,
  type Storage,
  type StorageName,
} from '@lamella/core';

/** What the making of a data file depends on. */
export interface DataFileMakerOptions {
  readonly resolver: ChainResolver;
  /** Location beside which a relative name is. */
  readonly beside: string;
  /** Replace an existing file. */
  readonly overwrite: boolean;
  /** Identities of the files that the new image builds on. */
  readonly inUse: ReadonlySet<string>;
}

/** Makes or opens the data file of a new image, and undoes it. */
export class DataFileMaker {
  readonly #options: DataFileMakerOptions;
  #storage: Storage | undefined;
  #made: StorageName | undefined;

  constructor(options: DataFileMakerOptions) {
    this.#options = options;
  }

  /**
   * The data file, empty, or as it is with `keep`.
   *
   * @param reference - its path, relative to the image
   * @throws LamellaError `ALREADY_EXISTS`, `NOT_FOUND` for one that is to be kept, `CHAIN_LOOP`, `LOCKED`,
   * `UNSUPPORTED`, `PERMISSION_DENIED`
   */
  async open(reference: Reference, keep: boolean): Promise<Storage> {
    const { resolver, beside } = this.#options;
    const path = resolver.resolveDataFile(reference.location, beside);
    this.#storage = keep ? await this.#openKept(path) : await this.#make(path);
    return this.#storage;
  }

  /** Closes the file, if it is open. */
  async close(): Promise<void> {
    await this.#storage?.close();
  }

  /** Closes the file, and removes it if it was made here. */
  async undo(): Promise<void> {
    await this.close().catch(() => undefined);
    await this.#made?.driver.remove?.(this.#made.location).catch(() => undefined);
  }

  async #openKept({ driver, location }: StorageName): Promise<Storage> {
    const storage = await driver.open(location, { writable: true });
    try {
      this.#assertUnused(storage);
      await storage.lock?.(permissionsFor({ writable: true, content: 'data-file' }));
      return storage;
    } catch (error) {
      await storage.close().catch(() => undefined);
      throw error;
    }
  }

  async #make(target: StorageName): Promise<Storage> {
    const { overwrite } = this.#options;
    const { driver, location } = target;
    if (driver.create === undefined) {
      throw new LamellaError('UNSUPPORTED', `storages of '${driver.scheme}:' can't be made`, {
        location,
      });
    }
    if (overwrite) {
      await this.#assertReplaceable(target);
    }
    const storage = await driver.create(location, {
      overwrite,
      permissions: permissionsToCreate('data-file'),
    });
    this.#made = target;
    return storage;
  }

  async #assertReplaceable({ driver, location }: StorageName): Promise<void> {
    try {
      const existing = await driver.open(location, { writable: false });
      await existing.close();
      this.#assertUnused(existing);
    } catch (error) {
      if (!isLamellaError(error, 'NOT_FOUND')) {
        throw error;
      }
    }
  }

  /** Neither the image itself nor anything that it builds on can be its data file. */
  #assertUnused({ identity, location }: Storage): void {
    if (identity !== undefined && this.#options.inUse.has(identity)) {
      throw new LamellaError('CHAIN_LOOP', `the data file would be part of the image's own chain`, {
        location,
        hint: 'Give the data file another name.',
      });
    }
  }
}
