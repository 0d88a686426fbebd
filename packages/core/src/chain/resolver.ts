import { inject, injectable } from 'tsyringe';
import {
  DriverRegistry,
  type OpenOptions,
  openByDriver,
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
import {
  backingTarget,
  mergedReference,
  type NamedBacking,
  namedFurther,
  namesFile,
  resolveBackingName,
} from './backing-target.js';
import { assertNotIn, type ChainLink, locations } from './chain-link.js';
import { assertConsistent, type ChainOptions, DEFAULT_MAX_DEPTH } from './chain-options.js';
import { DataFileOpener, resolveDataFile } from './data-file.js';
import { openAsOf } from './image-as-of.js';
import { closeLayers, type Layer } from './layer.js';
import { missingBacking, missingBelow } from './missing-backing.js';
import { plainPath } from './name-keys.js';
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

/** How one layer of a chain is opened. Its data file is left out unless `references` or `dataFile` say otherwise. */
export interface LayerOptions
  extends Pick<OpenOptions, 'writable' | 'cacheSize' | 'forCheck'>,
    Pick<
      ChainOptions,
      | 'references'
      | 'dataFile'
      | 'dataFilesBeside'
      | 'forceShare'
      | 'cache'
      | 'passphrase'
      | 'passphrases'
      | 'metadataOnly'
      | 'snapshot'
    > {
  /** The files that are open already, top first: none of them may be the same. */
  readonly chain?: readonly ChainLink[] | undefined;
  /** An image that keeps its data itself is no error, though a data file is given. */
  readonly dataFileIfAny?: boolean | undefined;
  /** Opens the layers below; called before anything is written to the image. */
  readonly follow?: ((references: References, link: ChainLink) => Promise<void>) | undefined;
}

/** How a chain is resolved. */
export interface ResolveOptions extends ChainOptions {
  /** Leave the backing file out, whatever the reference policy says of it. */
  readonly topOnly?: boolean | undefined;
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
   * @param location - path, `scheme:` location or `json:` name; or such a name taken apart
   * @param beside - open layers of a larger chain that this one becomes part of
   * @throws LamellaError for whatever is wrong with any file of the chain; `LOCKED` when somebody else
   * uses one; `CHAIN_LOOP`, `CHAIN_TOO_DEEP` and `REFERENCE_DENIED` for the chain itself;
   * `INVALID_ARGUMENT` for options that contradict each other
   */
  async open(
    location: string | ImageName,
    options: ResolveOptions = {},
    beside: readonly Layer[] = [],
  ): Promise<OpenChain> {
    const name = typeof location === 'string' ? parseImageName(location, location) : location;
    assertConsistent(options, name.location);
    const below: Below = { layers: [], missing: undefined };
    const named = name.backing === undefined ? undefined : { name: name.backing, trusted: true };
    try {
      const top = await this.openLayer(
        {
          location: name.location,
          format: options.format ?? name.format,
          options: options.options ?? name.options,
        },
        {
          ...forEveryLayer(options),
          writable: options.writable ?? false,
          passphrase: options.passphrase,
          snapshot: options.snapshot,
          dataFile: options.dataFile ?? name.dataFile,
          dataFileIfAny: options.metadataOnly === true && options.dataFile === undefined,
          chain: beside,
          follow: (references, link) =>
            this.#follow(below, references, [...beside, link], options, named),
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
    name: Pick<ImageName, 'format' | 'options' | 'dataFile'>,
    options: LayerOptions,
  ): Promise<Layer> {
    const { writable, cacheSize, forceShare, forCheck, follow, chain = [] } = options;
    const dataFile = new DataFileOpener({
      storages: this.#storages,
      image: storage,
      chain,
      given: options.dataFile,
      named: name.dataFile,
      beside: options.dataFilesBeside,
      policy: options.references ?? 'deny',
      writable,
      forceShare,
      cache: options.cache,
    });
    try {
      const probed = name.format === undefined;
      const recognise = (head: Uint8Array) => this.#drivers.probe(head, storage.location).format;
      const driver =
        name.format === undefined
          ? this.#drivers.probe(await readHead(storage), storage.location)
          : this.#drivers.get(name.format, storage.location);
      // Before the lock, which the layer above would be in the way of.
      assertNotIn(chain, storage);
      // The head is read unlocked, because the format decides over the locks; nothing else is.
      const content = driver.sharesStorage === true ? 'raw' : 'image';
      await storage.lock?.(permissionsFor({ writable, content, forceShare }));
      let followed: Promise<void> | undefined;
      const followOnce = async (references: References): Promise<void> => {
        const link = { storage, dataFile: dataFile.storage, format: driver.format };
        followed ??= follow?.(references, link) ?? Promise.resolve();
        await followed;
      };
      const present = await openUnlocked(storage, options, (passphrase) =>
        openByDriver(driver, storage, {
          writable,
          cacheSize,
          passphrase,
          options: name.options,
          forCheck,
          metadataOnly: options.metadataOnly,
          recognise: probed ? recognise : undefined,
          beforeWriting: followOnce,
          openDataFile: (reference) => dataFile.open(reference),
        }),
      );
      const { snapshot } = options;
      const image =
        snapshot === undefined ? present : await openAsOf(present, snapshot, storage.location);
      try {
        if (forCheck !== true && options.dataFileIfAny !== true) {
          dataFile.assertUsed();
        }
        await followOnce(image.references);
      } catch (error) {
        await image.close().catch(() => undefined);
        throw error;
      }
      const writeThrough = isWriteThrough(options.cache);
      const layer = { format: driver.format, storage, image, writable, writeThrough };
      return dataFile.storage === undefined ? layer : { ...layer, dataFile: dataFile.storage };
    } catch (error) {
      await dataFile.close().catch(() => undefined);
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
      dataFile:
        name.dataFile === undefined ? undefined : driver.resolve(plainPath(name.dataFile), namedBy),
      backing: resolveBackingName(this.#storages, name.backing, namedBy),
    };
  }

  /**
   * Where the data file is that an image names.
   *
   * @param path - as written in the image
   * @param beside - location of the image, or another that relative names start from
   */
  resolveDataFile(path: string, beside: string): StorageName {
    return resolveDataFile(this.#storages, path, beside);
  }

  /**
   * Opens what the references of the top image lead to, layer by layer, into `below`.
   *
   * @param chain - what is open; the last is the top image
   * @param topNamed - what the top image's name says of the layer below
   */
  async #follow(
    below: Below,
    topReferences: References,
    chain: ChainLink[],
    options: ResolveOptions,
    topNamed: NamedBacking | undefined,
  ): Promise<void> {
    let { backing } = topReferences;
    let named = topNamed;
    while (named?.name !== 'none' && (backing !== undefined || named !== undefined)) {
      const policy = options.references ?? 'follow';
      this.#assertHasBacking(chain.at(-1), named);
      const denied = policy === 'deny' && !namesFile(named);
      const lower =
        denied || options.topOnly === true
          ? undefined
          : await this.#openBacking(backing, named, chain, policy, options);
      if (lower === undefined) {
        const namedBy = chain.at(-1)?.storage.location ?? '';
        const reference = backing?.location ?? '';
        below.missing = { namedBy, reference };
        return;
      }
      below.layers.push(lower.layer);
      chain.push(lower.layer);
      backing = lower.layer.image.references.backing;
      named = lower.named;
    }
  }

  async #openBacking(
    reference: Reference | undefined,
    named: NamedBacking | undefined,
    chain: readonly ChainLink[],
    policy: ReferencePolicy,
    options: ResolveOptions,
  ): Promise<{ layer: Layer; named: NamedBacking | undefined } | undefined> {
    const namedBy = chain.at(-1)?.storage.location ?? '';
    assertDepth(chain, options.maxDepth ?? DEFAULT_MAX_DEPTH);
    const writableLayers = options.writable === true ? (options.writableLayers ?? 1) : 0;
    const backing = mergedReference(reference, named, namedBy, locations(chain));
    let location = backing.location;
    try {
      const target = backingTarget(this, this.#storages, { backing, named, namedBy });
      const { format } = target;
      location = target.location;
      const admitted = target.trusted
        ? location
        : await admitReference(
            policy,
            { kind: 'backing', reference: backing.location, location, format, namedBy },
            target,
          );
      if (admitted === undefined) {
        return undefined;
      }
      const layer = await this.openLayer(
        { location: admitted, format, options: target.options, dataFile: target.dataFile },
        { ...forEveryLayer(options), writable: chain.length < writableLayers, chain },
      );
      if (format === undefined) {
        this.#logger.warn(
          `${namedBy} does not say the format of its backing file '${backing.location}'; ` +
            `by its content it is ${layer.format}`,
        );
      }
      return { layer, named: namedFurther(target.backing, named) };
    } catch (error) {
      if (isLamellaError(error, 'NOT_FOUND')) {
        if (policy === 'skip') {
          return undefined;
        }
        throw isLamellaError(error.cause, 'NOT_FOUND')
          ? missingBelow(error, locations(chain))
          : missingBacking(backing, location, namedBy, locations(chain), error);
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

  #assertHasBacking(link: ChainLink | undefined, named: NamedBacking | undefined): void {
    if (link !== undefined && named !== undefined) {
      const { format, storage } = link;
      if (this.#drivers.get(format).supportsBacking !== true) {
        throw new LamellaError('INVALID_ARGUMENT', `${format} images can't have a backing file`, {
          location: storage.location,
          hint: 'Leave out what the name says of `backing`.',
        });
      }
    }
  }
}

/** What of a chain's options holds for every layer. */
function forEveryLayer({
  cacheSize,
  references = 'follow',
  dataFilesBeside,
  forceShare,
  cache,
  passphrases,
  metadataOnly,
}: ChainOptions): LayerOptionsForAll {
  return {
    cacheSize,
    references,
    dataFilesBeside,
    forceShare,
    cache,
    passphrases,
    metadataOnly,
  };
}

type LayerOptionsForAll = Pick<
  LayerOptions,
  | 'cacheSize'
  | 'references'
  | 'dataFilesBeside'
  | 'forceShare'
  | 'cache'
  | 'passphrases'
  | 'metadataOnly'
>;

function assertDepth(chain: readonly ChainLink[], maxDepth: number): void {
  if (chain.length >= maxDepth) {
    throw new LamellaError('CHAIN_TOO_DEEP', `the backing chain has more than ${maxDepth} layers`, {
      location: chain.at(-1)?.storage.location,
      chain: locations(chain),
      hint: 'Commit or rebase some layers, or raise maxDepth.',
    });
  }
}

async function readHead(storage: Storage): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(PROBE_LENGTH, storage.size));
  await storage.read(head, 0);
  return head;
}
