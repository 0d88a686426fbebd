import { inject, injectable } from 'tsyringe';
import {
  DriverRegistry,
  type OpenOptions,
  PROBE_LENGTH,
  type Reference,
  type References,
} from '../driver/index.js';
import type { MissingBacking } from '../engine/index.js';
import { isLamellaError, LamellaError } from '../errors/index.js';
import { LOGGER, type Logger, silentLogger } from '../platform/index.js';
import {
  isWriteThrough,
  permissionsFor,
  type Storage,
  type StorageName,
  StorageRegistry,
} from '../storage/index.js';
import { assertConsistent, type ChainOptions, DEFAULT_MAX_DEPTH } from './chain-options.js';
import { closeLayers, type Layer } from './layer.js';
import { missingBacking } from './missing-backing.js';
import { openUnlocked } from './passphrases.js';
import { type ImageName, parseImageName } from './reference-name.js';
import { admitReference, type ReferencePolicy } from './reference-policy.js';

/** A chain that was opened: at least one layer, top first. */
export interface OpenChain {
  /** The open layers, top first; whoever has the chain closes them. */
  readonly layers: [Layer, ...Layer[]];
  /** The backing file that the last layer names and that was left out. */
  readonly missing: MissingBacking | undefined;
}

/** How one layer of a chain is opened. */
export interface LayerOptions
  extends Pick<OpenOptions, 'writable' | 'cacheSize' | 'forCheck'>,
    Pick<ChainOptions, 'forceShare' | 'cache' | 'passphrase' | 'passphrases' | 'metadataOnly'> {
  /** The storages that are open already, top first: none of them may be the same file. */
  readonly chain?: readonly Storage[] | undefined;
  /** Opens what the image refers to; called before anything is written to it. */
  readonly follow?: ((references: References, storage: Storage) => Promise<void>) | undefined;
}

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
    const below: Below = { layers: [], missing: undefined };
    const others = beside.map(({ storage }) => storage);
    try {
      const top = await this.openLayer(
        {
          ...name,
          format: options.format ?? name.format,
          options: options.options ?? name.options,
        },
        {
          ...forEveryLayer(options),
          writable: options.writable ?? false,
          passphrase: options.passphrase,
          chain: others,
          follow: (references, storage) =>
            this.#follow(below, references, [...others, storage], options),
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
   * @throws LamellaError `UNKNOWN_SCHEME`, `UNKNOWN_FORMAT`, `LOCKED`, `CHAIN_LOOP`, and what storage
   * and driver throw
   */
  async openLayer(name: ImageName, options: LayerOptions): Promise<Layer> {
    const storage = await this.#storages.open(name.location, {
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
    const { writable, cacheSize, forceShare, forCheck, follow } = options;
    try {
      const probed = name.format === undefined;
      const recognise = (head: Uint8Array) => this.#drivers.probe(head, storage.location).format;
      const driver =
        name.format === undefined
          ? this.#drivers.probe(await readHead(storage), storage.location)
          : this.#drivers.get(name.format, storage.location);
      // Before the lock, which the layer above would be in the way of.
      assertNotIn(options.chain ?? [], storage);
      // The head is read unlocked, because the format decides over the locks; nothing else is.
      const content = driver.sharesStorage === true ? 'raw' : 'image';
      await storage.lock?.(permissionsFor({ writable, content, forceShare }));
      let followed: Promise<void> | undefined;
      const followOnce = async (references: References): Promise<void> => {
        followed ??= follow?.(references, storage) ?? Promise.resolve();
        await followed;
      };
      const image = await openUnlocked(storage, options, (passphrase) =>
        driver.open(storage, {
          writable,
          cacheSize,
          passphrase,
          options: name.options,
          forCheck,
          metadataOnly: options.metadataOnly,
          recognise: probed ? recognise : undefined,
          beforeWriting: followOnce,
        }),
      );
      try {
        await followOnce(image.references);
      } catch (error) {
        await image.close().catch(() => undefined);
        throw error;
      }
      const writeThrough = isWriteThrough(options.cache);
      return { format: driver.format, storage, image, writable, writeThrough };
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

  /**
   * Opens what the references of the top image lead to, layer by layer, into `below`.
   *
   * @param chain - open storages; the last is the top image's
   */
  async #follow(
    below: Below,
    topReferences: References,
    chain: Storage[],
    options: ChainOptions,
  ): Promise<void> {
    let references = topReferences;
    while (references.backing !== undefined) {
      const { backing } = references;
      const policy = options.references ?? 'follow';
      const lower =
        policy === 'deny' ? undefined : await this.#openBacking(backing, chain, policy, options);
      if (lower === undefined) {
        below.missing = { namedBy: chain.at(-1)?.location ?? '', reference: backing.location };
        return;
      }
      below.layers.push(lower);
      chain.push(lower.storage);
      references = lower.image.references;
    }
  }

  async #openBacking(
    backing: Reference,
    chain: readonly Storage[],
    policy: ReferencePolicy,
    options: ChainOptions,
  ): Promise<Layer | undefined> {
    const namedBy = chain.at(-1)?.location ?? '';
    assertDepth(chain, options.maxDepth ?? DEFAULT_MAX_DEPTH);
    const writableLayers = options.writable === true ? (options.writableLayers ?? 1) : 0;
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
        { ...forEveryLayer(options), writable: chain.length < writableLayers, chain },
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
        throw missingBacking(backing, location, namedBy, locations(chain), error);
      }
      if (isLamellaError(error, 'INVALID_ARGUMENT')) {
        throw new LamellaError(
          'INVALID_ARGUMENT',
          `its backing file '${backing.location}' can't be opened: ${error.problem}`,
          { location: namedBy, chain: locations(chain), hint: error.hint, cause: error },
        );
      }
      throw error;
    }
  }
}

/** What of a chain's options holds for every layer. */
function forEveryLayer({
  cacheSize,
  forceShare,
  cache,
  passphrases,
  metadataOnly,
}: ChainOptions): Pick<
  LayerOptions,
  'cacheSize' | 'forceShare' | 'cache' | 'passphrases' | 'metadataOnly'
> {
  return { cacheSize, forceShare, cache, passphrases, metadataOnly };
}

function assertDepth(chain: readonly Storage[], maxDepth: number): void {
  if (chain.length >= maxDepth) {
    throw new LamellaError('CHAIN_TOO_DEEP', `the backing chain has more than ${maxDepth} layers`, {
      location: chain.at(-1)?.location,
      chain: locations(chain),
      hint: 'Commit or rebase some layers, or raise maxDepth.',
    });
  }
}

function assertNotIn(chain: readonly Storage[], { identity, location }: Storage): void {
  if (identity !== undefined && chain.some((storage) => storage.identity === identity)) {
    throw new LamellaError('CHAIN_LOOP', 'the same file would be in the chain twice', {
      location: chain.at(-1)?.location,
      chain: [...locations(chain), location],
      hint: 'Rebase one of these images onto the right backing file, or leave one out.',
    });
  }
}

function locations(chain: readonly Storage[]): string[] {
  return chain.map(({ location }) => location);
}

async function readHead(storage: Storage): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(PROBE_LENGTH, storage.size));
  await storage.read(head, 0);
  return head;
}
