import { inject, injectable } from 'tsyringe';
import {
  DriverRegistry,
  type OptionValues,
  PROBE_LENGTH,
  type Reference,
} from '../driver/index.js';
import type { MissingBacking } from '../engine/index.js';
import { isLamellaError, LamellaError } from '../errors/index.js';
import { LOGGER, type Logger, silentLogger } from '../platform/index.js';
import {
  CACHE_MODES,
  type CacheMode,
  isWriteThrough,
  permissionsFor,
  type Storage,
  StorageRegistry,
} from '../storage/index.js';
import { closeLayers, type Layer } from './layer.js';
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
  /**
   * Open even though somebody else is writing. What is read may then be in the middle of a change. Not
   * together with `writable`. False by default.
   */
  readonly forceShare?: boolean | undefined;
  /** How reads and writes reach the device, for every layer; `'writeback'` by default. */
  readonly cache?: CacheMode | undefined;
}

/** How one layer of a chain is opened. */
export interface LayerOptions extends Pick<ChainOptions, 'cacheSize' | 'forceShare' | 'cache'> {
  /** Whether writes will be made. */
  readonly writable: boolean;
  /** The layers that are open already, top first: none of them may be the same file. */
  readonly chain?: readonly Layer[] | undefined;
}

/** A chain that was opened: at least one layer, top first. */
export interface OpenChain {
  /** The open layers, top first; whoever has the chain closes them. */
  readonly layers: [Layer, ...Layer[]];
  /** The backing file that the last layer names and that was left out. */
  readonly missing: MissingBacking | undefined;
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
   * Opens an image and its whole backing chain. On failure everything that was opened is closed.
   *
   * @param location - path, `scheme:` location or `json:` name
   * @param beside - open layers of a larger chain that this one becomes part of
   * @throws LamellaError for whatever is wrong with any file of the chain; `LOCKED` when somebody else
   * uses one; `CHAIN_LOOP`, `CHAIN_TOO_DEEP` and `REFERENCE_DENIED` for the chain itself;
   * `INVALID_ARGUMENT` for options that contradict each other
   */
  async open(
    location: string,
    options: ChainOptions = {},
    beside: readonly Layer[] = [],
  ): Promise<OpenChain> {
    assertConsistent(options, location);
    const name = parseImageName(location, location);
    const top = await this.openLayer(
      { ...name, format: options.format ?? name.format, options: options.options ?? name.options },
      { ...layerOptions(options), writable: options.writable ?? false, chain: beside },
    );
    const layers: [Layer, ...Layer[]] = [top];
    try {
      const missing = await this.#follow(layers, options);
      return { layers, missing };
    } catch (error) {
      await closeLayers(layers).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Opens one image and nothing that it refers to.
   *
   * @throws LamellaError `UNKNOWN_SCHEME`, `UNKNOWN_FORMAT`, `LOCKED`, `CHAIN_LOOP`, and what storage
   * and driver throw
   */
  async openLayer(name: ImageName, options: LayerOptions): Promise<Layer> {
    const { driver: storageDriver, location } = this.#storages.resolve(name.location);
    const storage = await storageDriver.open(location, {
      writable: options.writable,
      cache: options.cache,
    });
    return this.openIn(storage, name, options);
  }

  /**
   * Opens the image in a storage that is open already, and closes the storage if that fails.
   *
   * @throws LamellaError `UNKNOWN_FORMAT`, `LOCKED`, `CHAIN_LOOP`, and what the driver throws
   */
  async openIn(
    storage: Storage,
    name: Pick<ImageName, 'format' | 'options'>,
    options: LayerOptions,
  ): Promise<Layer> {
    const { writable, cacheSize, forceShare } = options;
    try {
      // Before the lock, which the layer above would be in the way of.
      assertNotIn(options.chain ?? [], storage);
      const driver =
        name.format === undefined
          ? this.#drivers.probe(await readHead(storage), storage.location)
          : this.#drivers.get(name.format);
      // The head is read unlocked, because the format decides over the locks; nothing else is.
      const content = driver.sharesStorage === true ? 'raw' : 'image';
      await storage.lock?.(permissionsFor({ writable, content, forceShare }));
      const image = await driver.open(storage, { writable, cacheSize, options: name.options });
      const writeThrough = isWriteThrough(options.cache);
      return { format: driver.format, storage, image, writable, writeThrough };
    } catch (error) {
      await storage.close().catch(() => undefined);
      throw error;
    }
  }

  async #follow(
    layers: [Layer, ...Layer[]],
    options: ChainOptions,
  ): Promise<MissingBacking | undefined> {
    const policy = options.references ?? 'follow';
    const maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
    for (;;) {
      const upper = layers.at(-1) ?? layers[0];
      const backing = upper.image.references.backing;
      if (backing === undefined) {
        return undefined;
      }
      const chain = locations(layers);
      if (layers.length >= maxDepth) {
        throw new LamellaError(
          'CHAIN_TOO_DEEP',
          `the backing chain has more than ${maxDepth} layers`,
          {
            location: upper.storage.location,
            chain,
            hint: 'Commit or rebase some layers, or raise maxDepth.',
          },
        );
      }
      const lower = await this.#openBacking(backing, layers, policy, options);
      if (lower === undefined) {
        return { namedBy: upper.storage.location, reference: backing.location };
      }
      layers.push(lower);
    }
  }

  async #openBacking(
    backing: Reference,
    layers: readonly [Layer, ...Layer[]],
    policy: ReferencePolicy,
    options: ChainOptions,
  ): Promise<Layer | undefined> {
    const namedBy = (layers.at(-1) ?? layers[0]).storage.location;
    if (policy === 'deny') {
      return undefined;
    }
    const name = parseImageName(backing.location, namedBy);
    const format = backing.format ?? name.format;
    const named = this.#storages.resolve(name.location);
    const location = named.driver.resolve(name.location, namedBy);
    try {
      const admitted = await admitReference(
        policy,
        { kind: 'backing', reference: backing.location, location, format, namedBy },
        { driver: named.driver, location },
      );
      if (admitted === undefined) {
        return undefined;
      }
      const layer = await this.openLayer(
        { location: admitted, format, options: name.options },
        { ...layerOptions(options), writable: false, chain: layers },
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
        throw missingBacking(backing, location, namedBy, locations(layers), error);
      }
      throw error;
    }
  }
}

/** What of a chain's options holds for every layer. */
function layerOptions({
  cacheSize,
  forceShare,
  cache,
}: ChainOptions): Omit<LayerOptions, 'writable'> {
  return { cacheSize, forceShare, cache };
}

function assertConsistent(options: ChainOptions, location: string): void {
  const { forceShare, writable, cache = 'writeback' } = options;
  if (!CACHE_MODES.includes(cache)) {
    throw new LamellaError('INVALID_ARGUMENT', `there is no cache mode '${cache}'`, {
      location,
      hint: `Choose one of ${CACHE_MODES.join(', ')}.`,
    });
  }
  if (forceShare === true && writable === true) {
    throw new LamellaError('INVALID_ARGUMENT', 'forceShare is for reading only', {
      location,
      hint: 'Leave out forceShare, and end whatever else is using the image; or leave out writable.',
    });
  }
}

function assertNotIn(chain: readonly Layer[], { identity, location }: Storage): void {
  if (identity !== undefined && chain.some(({ storage }) => storage.identity === identity)) {
    const above = locations(chain);
    throw new LamellaError('CHAIN_LOOP', 'the same file would be in the chain twice', {
      location: above.at(-1),
      chain: [...above, location],
      hint: 'Rebase one of these images onto the right backing file, or leave one out.',
    });
  }
}

function locations(layers: readonly Layer[]): string[] {
  return layers.map(({ storage }) => storage.location);
}

async function readHead(storage: Storage): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(PROBE_LENGTH, storage.size));
  await storage.read(head, 0);
  return head;
}

function missingBacking(
  backing: Reference,
  location: string,
  namedBy: string,
  chain: readonly string[],
  cause: unknown,
): LamellaError {
  const leads = location === backing.location ? '' : ` (that is ${location})`;
  return new LamellaError(
    'NOT_FOUND',
    `its backing file '${backing.location}'${leads} does not exist`,
    {
      location: namedBy,
      chain,
      hint: "Restore the file, rebase the image, or open with references: 'skip' to do without it.",
      cause,
    },
  );
}
