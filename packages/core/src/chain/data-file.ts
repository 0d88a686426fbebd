import type { Reference } from '../driver/index.js';
import { isLamellaError, LamellaError } from '../errors/index.js';
import {
  type CacheMode,
  permissionsFor,
  type Storage,
  type StorageName,
  type StorageRegistry,
} from '../storage/index.js';
import { assertNotIn, type ChainLink, locations } from './chain-link.js';
import { plainPath } from './name-keys.js';
import { admitReference, type ReferencePolicy } from './reference-policy.js';

/** What the opening of a data file depends on. */
export interface DataFileOptions {
  readonly storages: StorageRegistry;
  /** Where the image lives whose data file it is. */
  readonly image: Storage;
  /** What is open already, top first. */
  readonly chain: readonly ChainLink[];
  /** Location that the caller gave: opened without asking the policy. */
  readonly given: string | undefined;
  /** Location that the name of the image gave; it counts as named by an image. */
  readonly named: string | undefined;
  /** Location beside which relative names are looked for; the image's own by default. */
  readonly beside: string | undefined;
  readonly policy: ReferencePolicy;
  readonly writable: boolean;
  readonly forceShare: boolean | undefined;
  readonly cache: CacheMode | undefined;
}

/**
 * Where a data file is that an image names. The name is a path, never a protocol or a `json:` name
 * (CVE-2024-4467).
 *
 * @param path - as written in the image
 * @param beside - location of the image, or another that relative names start from
 */
export function resolveDataFile(
  storages: StorageRegistry,
  path: string,
  beside: string,
): StorageName {
  const { driver, location } = storages.resolve(plainPath(path));
  return { driver, location: driver.resolve(location, beside) };
}

/** Opens the data file of one image, once, when its driver asks for it. */
export class DataFileOpener {
  readonly #options: DataFileOptions;
  #opening: Promise<Storage | undefined> | undefined;
  #storage: Storage | undefined;

  constructor(options: DataFileOptions) {
    this.#options = options;
  }

  /** The file, once it is open. */
  get storage(): Storage | undefined {
    return this.#storage;
  }

  /**
   * Opens the file.
   *
   * @param reference - what the image names, if anything
   * @returns undefined when the policy leaves it out
   * @throws LamellaError as `OpenOptions.openDataFile`
   */
  async open(reference: Reference | undefined): Promise<Storage | undefined> {
    this.#opening ??= this.#open(reference);
    this.#storage = await this.#opening;
    return this.#storage;
  }

  /**
   * To be called when the driver is done: a file that the caller gave has to be of use.
   *
   * @throws LamellaError `INVALID_ARGUMENT`
   */
  assertUsed(): void {
    const { given, image } = this.#options;
    if (given !== undefined && this.#opening === undefined) {
      throw new LamellaError(
        'INVALID_ARGUMENT',
        `a data file was given ('${given}'), but the image keeps its data itself`,
        { location: image.location, hint: 'Leave the data file out.' },
      );
    }
  }

  /** Closes the file, if it is open. */
  async close(): Promise<void> {
    await this.#storage?.close();
  }

  async #open(reference: Reference | undefined): Promise<Storage | undefined> {
    const { given, named, policy, storages, image } = this.#options;
    if (given !== undefined) {
      return this.#openGiven(storages.resolve(given));
    }
    if (policy === 'deny') {
      return undefined;
    }
    const text = named ?? reference?.location;
    if (text === undefined) {
      throw new LamellaError('INVALID_ARGUMENT', 'the image has a data file, but names none', {
        location: image.location,
        hint: 'Give its location as `dataFile`.',
      });
    }
    return this.#follow(text);
  }

  async #follow(text: string): Promise<Storage | undefined> {
    const { policy, storages, image, beside } = this.#options;
    const { driver, location } = resolveDataFile(storages, text, beside ?? image.location);
    const request = {
      kind: 'data-file',
      reference: text,
      location,
      format: 'raw',
      namedBy: image.location,
    } as const;
    try {
      const admitted = await admitReference(policy, request, { driver, location });
      return admitted === undefined
        ? undefined
        : await this.#openAt({ driver, location: admitted });
    } catch (error) {
      if (!isLamellaError(error, 'NOT_FOUND')) {
        throw error;
      }
      if (policy === 'skip') {
        return undefined;
      }
      const leads = location === text ? '' : ` (that is ${location})`;
      throw new LamellaError('NOT_FOUND', `its data file '${text}'${leads} does not exist`, {
        location: image.location,
        hint: "Restore the file, name it as `dataFile`, or open with references: 'skip' to look at the rest.",
        cause: error,
      });
    }
  }

  async #openGiven(name: StorageName): Promise<Storage> {
    try {
      return await this.#openAt(name);
    } catch (error) {
      if (!isLamellaError(error, 'NOT_FOUND')) {
        throw error;
      }
      const { image, given } = this.#options;
      throw new LamellaError('NOT_FOUND', `the data file '${given}' does not exist`, {
        location: image.location,
        hint: 'Give the location of the data file as it is.',
        cause: error,
      });
    }
  }

  async #openAt({ driver, location }: StorageName): Promise<Storage> {
    const { image, chain, writable, forceShare, cache } = this.#options;
    const storage = await driver.open(location, { writable, cache });
    try {
      if (storage.identity !== undefined && storage.identity === image.identity) {
        throw new LamellaError('CHAIN_LOOP', 'the image is named as its own data file', {
          location: image.location,
          chain: [...locations(chain), image.location, storage.location],
          hint: 'Give the right file as `dataFile`.',
        });
      }
      assertNotIn(chain, storage);
      await storage.lock?.(permissionsFor({ writable, content: 'data-file', forceShare }));
      return storage;
    } catch (error) {
      await storage.close().catch(() => undefined);
      throw error;
    }
  }
}
