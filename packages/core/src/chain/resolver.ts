import { inject, injectable } from 'tsyringe';
import {
  DriverRegistry,
  type OpenOptions,
  type OptionValues,
  PROBE_LENGTH,
  type Reference,
  type References,
} from '../driver/index.js';
import type { MissingBacking } from '../engine/index.js';
import { isLamellaError, LamellaError } from '../errors/index.js';
import { LOGGER, type Logger, silentLogger } from '../platform/index.js';
import { type Storage, type StorageName, StorageRegistry } from '../storage/index.js';
import { closeLayers, type Layer } from './layer.js';
import { missingBacking } from './missing-backing.js';
import { openUnlocked, type Passphrase, type PassphraseSource } from './passphrases.js';
import { type ImageName, parseImageName } from './reference-name.js';
import { admitReference, type ReferencePolicy } from './reference-policy.js';

/** Most layers of a chain, unless the caller says otherwise. */
export const DEFAULT_MAX_DEPTH = 256;

/** How a chain is opened. */
export interface ChainOptions {
  /** Format of the top image; found by its content if not given. */
  readonly format?: string | undefined;
  /** Open the top image for writing; everything below is read-only always. False by default. */
  readonly writable?: boolean | undefined;
  /** Which files images may name; `'follow'` by default. */
  readonly references?: ReferencePolicy | undefined;
  /** Most layers; {@link DEFAULT_MAX_DEPTH} by default. */
  readonly maxDepth?: number | undefined;
  /** Most bytes of cached metadata for each layer; 32 MiB by default. */
  readonly cacheSize?: number | undefined;
  /** Options of the top image's driver. */
  readonly options?: OptionValues | undefined;
  /** Passphrase of the top image, if it is encrypted. */
  readonly passphrase?: Passphrase | undefined;
  /** Asked for the passphrase of each encrypted image that has none yet: backing files, above all. */
  readonly passphrases?: PassphraseSource | undefined;
}

/** A chain that was opened: at least one layer, top first. */
export interface OpenChain {
  /** The open layers, top first; whoever has the chain closes them. */
  readonly layers: [Layer, ...Layer[]];
  /** The backing file that the last layer names and that was left out. */
  readonly missing: MissingBacking | undefined;
}

/** How one image is opened. */
export type OpenLayerOptions = Pick<OpenOptions, 'writable' | 'cacheSize' | 'passphrase'> & {
  /** Asked when the image is encrypted and has no passphrase. */
  readonly passphrases?: PassphraseSource | undefined;
  /** Opens what the image refers to; called before anything is written to it. */
  readonly follow?: ((references: References, storage: Storage) => Promise<void>) | undefined;
};

/** What lies below an image. */
interface Below {
  readonly layers: Layer[];
  missing: MissingBacking | undefined;
}

/** Opens an image and, layer by layer, what it refers to. */
@injectable()
export class ChainResolver {
  readonly #drivers: DriverRegistry;
  readonly #storages: StorageRegistry;
  readonly #logger: Logger;

  constructor(
    @inject(DriverRegistry) drivers: DriverRegistry,
    @inject(StorageRegistry) storages: StorageRegistry,
    @inject(LOGGER, { isOptional: true }) logger: Logger | undefined,
  ) {
    this.#drivers = drivers;
    this.#storages = storages;
    this.#logger = logger ?? silentLogger;
  }

  /**
   * Opens an image and its whole backing chain. On failure everything that was opened is closed, and
   * nothing was written.
   *
   * @param location - path, `scheme:` location or `json:` name
   * @throws LamellaError for whatever is wrong with any file of the chain; `CHAIN_LOOP`,
   * `CHAIN_TOO_DEEP` and `REFERENCE_DENIED` for the chain itself
   */
  async open(location: string, options: ChainOptions = {}): Promise<OpenChain> {
    const name = parseImageName(location, location);
    const below: Below = { layers: [], missing: undefined };
    try {
      const top = await this.openLayer(
        {
          ...name,
          format: options.format ?? name.format,
          options: options.options ?? name.options,
        },
        {
          writable: options.writable ?? false,
          cacheSize: options.cacheSize,
          passphrase: options.passphrase,
          passphrases: options.passphrases,
          follow: (references, storage) => this.#follow(below, references, storage, options),
        },
      );
      return { layers: [top, ...below.layers], missing: below.missing };
    } catch (error) {
      await closeLayers(below.layers).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Opens one image and nothing that it refers to.
   *
   * @throws LamellaError `UNKNOWN_SCHEME`, `UNKNOWN_FORMAT`, and what storage and driver throw
   */
  async openLayer(name: ImageName, options: OpenLayerOptions): Promise<Layer> {
    const { driver: storageDriver, location } = this.#storages.resolve(name.location);
    const storage = await storageDriver.open(location, { writable: options.writable });
    return this.openIn(storage, name, options);
  }

  /**
   * Opens the image in a storage that is open already, and closes the storage if that fails.
   *
   * @throws LamellaError `UNKNOWN_FORMAT`, and what the driver throws
   */
  async openIn(
    storage: Storage,
    name: Pick<ImageName, 'format' | 'options'>,
    { writable, cacheSize, passphrase, passphrases, follow }: OpenLayerOptions,
  ): Promise<Layer> {
    try {
      const driver =
        name.format === undefined
          ? this.#drivers.probe(await readHead(storage), storage.location)
          : this.#drivers.get(name.format, storage.location);
      let followed: Promise<void> | undefined;
      const followOnce = async (references: References): Promise<void> => {
        followed ??= follow?.(references, storage) ?? Promise.resolve();
        await followed;
      };
      const image = await openUnlocked(storage, passphrases, passphrase, (key) =>
        driver.open(storage, {
          writable,
          cacheSize,
          passphrase: key,
          options: name.options,
          beforeWriting: followOnce,
        }),
      );
      try {
        await followOnce(image.references);
      } catch (error) {
        await image.close().catch(() => undefined);
        throw error;
      }
      return { format: driver.format, storage, image, writable };
    } catch (error) {
      await storage.close().catch(() => undefined);
      throw error;
    }
  }

  /**
   * What a reference in an image means: the file, by a location that needs no image to resolve it, and
   * what the reference says of its format and options.
   *
   * @param reference - as written in the image
   * @param namedBy - location of the image
   * @throws LamellaError `INVALID_ARGUMENT`, `UNSUPPORTED`, `UNKNOWN_SCHEME`
   */
  resolveReference(reference: Reference, namedBy: string): ImageName & StorageName {
    const name = parseImageName(reference.location, namedBy);
    const { driver } = this.#storages.resolve(name.location);
    return {
      driver,
      location: driver.resolve(name.location, namedBy),
      format: reference.format ?? name.format,
      options: name.options,
    };
  }

  /** Opens what the references of the top image lead to, layer by layer, into `below`. */
  async #follow(
    below: Below,
    topReferences: References,
    top: Storage,
    options: ChainOptions,
  ): Promise<void> {
    const policy = options.references ?? 'follow';
    const maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
    const storages = [top];
    let upper = top;
    let references = topReferences;
    while (references.backing !== undefined) {
      const { backing } = references;
      const chain = storages.map(({ location }) => location);
      const lower =
        policy === 'deny'
          ? undefined
          : await this.#openBacking(backing, upper.location, policy, options, chain, maxDepth);
      if (lower === undefined) {
        below.missing = { namedBy: upper.location, reference: backing.location };
        return;
      }
      below.layers.push(lower);
      const { identity, location } = lower.storage;
      if (identity !== undefined && storages.some((storage) => storage.identity === identity)) {
        throw new LamellaError('CHAIN_LOOP', 'the backing chain comes back to an image above', {
          location: upper.location,
          chain: [...chain, location],
          hint: 'Rebase one of these images onto the right backing file.',
        });
      }
      upper = lower.storage;
      storages.push(upper);
      references = lower.image.references;
    }
  }

  async #openBacking(
    backing: Reference,
    namedBy: string,
    policy: ReferencePolicy,
    options: ChainOptions,
    chain: readonly string[],
    maxDepth: number,
  ): Promise<Layer | undefined> {
    if (chain.length >= maxDepth) {
      throw new LamellaError(
        'CHAIN_TOO_DEEP',
        `the backing chain has more than ${maxDepth} layers`,
        {
          location: namedBy,
          chain,
          hint: 'Commit or rebase some layers, or raise maxDepth.',
        },
      );
    }
    let location = backing.location;
    try {
      const target = this.resolveReference(backing, namedBy);
      const { format } = target;
      location = target.location;
      const admitted = await admitReference(
        policy,
        { kind: 'backing', reference: backing.location, location, format, namedBy },
        target,
      );
      if (admitted === undefined) {
        return undefined;
      }
      const layer = await this.openLayer(
        { location: admitted, format, options: target.options },
        { writable: false, cacheSize: options.cacheSize, passphrases: options.passphrases },
      );
      if (format === undefined) {
        this.#logger.warn(
          `${namedBy} does not say the format of its backing file '${backing.location}'; ` +
            `by its content it is ${layer.format}`,
        );
      }
      return layer;
    } catch (error) {
      if (isLamellaError(error, 'NOT_FOUND')) {
        if (policy === 'skip') {
          return undefined;
        }
        throw missingBacking(backing, location, namedBy, chain, error);
      }
      if (isLamellaError(error, 'INVALID_ARGUMENT')) {
        throw new LamellaError(
          'INVALID_ARGUMENT',
          `its backing file '${backing.location}' can't be opened: ${error.problem}`,
          { location: namedBy, chain, hint: error.hint, cause: error },
        );
      }
      throw error;
    }
  }
}

async function readHead(storage: Storage): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(PROBE_LENGTH, storage.size));
  await storage.read(head, 0);
  return head;
}
