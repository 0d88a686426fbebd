import {
  type BlockDriver,
  ChainResolver,
  type CreateOptions,
  closeLayers,
  DriverCall,
  DriverRegistry,
  LamellaError,
  type Layer,
  type LongOperation,
  type OptionValues,
  type Passphrase,
  type PassphraseSource,
  parseOptions,
  permissionsToCreate,
  type Reference,
  type ReferencePolicy,
  type Storage,
  type StorageName,
  StorageRegistry,
} from '@lamella/core';
import { inject, injectable } from 'tsyringe';
import { DataFileMaker } from './data-file-maker.js';

/** What image to make. */
export interface CreateImageOptions extends LongOperation {
  /** Format of the new image. */
  readonly format: string;
  /** Size of the disk in bytes; that of the backing file if not given. */
  readonly size?: number | undefined;
  /**
   * Backing file to name in the image: the text is stored as given, and means a path relative to the
   * new image. It must exist; its format is found by content if not given, and stored.
   */
  readonly backing?: string | Reference | undefined;
  /** Look at the backing file's metadata only: an encrypted one then needs no passphrase. False by default. */
  readonly backingMetadataOnly?: boolean | undefined;
  /**
   * Store the name of the backing file without looking at that file, which need not exist; its format is
   * stored as given. The image then needs a size. False by default.
   */
  readonly uncheckedBacking?: boolean | undefined;
  /** Options of the format under qemu-img's names: `{ cluster_size: '2M', compat: '0.10' }`. */
  readonly options?: OptionValues | undefined;
  /** Passphrase of an image to be encrypted, by the options of its format. */
  readonly passphrase?: Passphrase | undefined;
  /** Asked for the passphrase of encrypted backing files, which are opened for their size. */
  readonly passphrases?: PassphraseSource | undefined;
  /** Which files the backing file may name in turn; `'follow'` by default. */
  readonly references?: ReferencePolicy | undefined;
  /**
   * A location beside which the data file is to be, if its name is relative; beside the image by default.
   * QEMU makes and looks for it in its working directory.
   */
  readonly dataFilesBeside?: string | undefined;
  /** Replace an existing file, and an existing data file. False by default: an existing file is an error. */
  readonly overwrite?: boolean | undefined;
}

/** What a new image builds on. */
interface NewBacking {
  readonly reference?: Reference;
  readonly size?: number;
  /** Identities of the files that belong to it. */
  readonly inUse?: readonly string[];
}

/** Makes images: checks everything first, and removes what a failure leaves behind. */
@injectable()
export class ImageCreator {
  readonly #drivers: DriverRegistry;
  readonly #storages: StorageRegistry;
  readonly #resolver: ChainResolver;

  constructor(
    @inject(DriverRegistry) drivers: DriverRegistry,
    @inject(StorageRegistry) storages: StorageRegistry,
    @inject(ChainResolver) resolver: ChainResolver,
  ) {
    this.#drivers = drivers;
    this.#storages = storages;
    this.#resolver = resolver;
  }

  /**
   * Makes an image at a location.
   *
   * @throws LamellaError as `Lamella.create`
   */
  async create(location: string, options: CreateImageOptions): Promise<void> {
    const driver = this.#creatable(options.format, location);
    const target = this.#storages.resolve(location);
    const { create: createStorage } = target.driver;
    if (createStorage === undefined) {
      throw new LamellaError(
        'UNSUPPORTED',
        `storages of '${target.driver.scheme}:' can't be made`,
        {
          location,
        },
      );
    }
    const backing = await this.#backing(target, options, driver);
    const request = this.#request(driver, options, backing.reference, backing.size);
    const storage = await createStorage.call(target.driver, target.location, {
      overwrite: options.overwrite ?? false,
      permissions: permissionsToCreate(driver.sharesStorage === true ? 'raw' : 'image'),
    });
    const dataFile = new DataFileMaker({
      resolver: this.#resolver,
      beside: options.dataFilesBeside ?? target.location,
      overwrite: options.overwrite ?? false,
      inUse: new Set([...(backing.inUse ?? []), storage.identity ?? '']),
    });
    try {
      const call = new DriverCall(driver, target.location);
      const openDataFile = call.callback((reference: Reference, keep: boolean) =>
        dataFile.open(reference, keep),
      );
      const { signal, onProgress } = options;
      await call.run(async () =>
        driver.create?.(storage, { ...request, signal, onProgress, openDataFile }),
      );
      await dataFile.close();
      await storage.close();
    } catch (error) {
      await dataFile.undo();
      await storage.close().catch(() => undefined);
      await target.driver.remove?.(target.location).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Removes an image that was made and is not wanted after all.
   *
   * @throws LamellaError as `StorageDriver.remove`, `UNKNOWN_SCHEME`
   */
  async remove(location: string): Promise<void> {
    const target = this.#storages.resolve(location);
    await target.driver.remove?.(target.location);
  }

  /**
   * Makes an image in a storage that is open already.
   *
   * @throws LamellaError `UNKNOWN_FORMAT`, `UNSUPPORTED`, `INVALID_ARGUMENT`, and what the driver throws
   * @param size - of the guest's disk, bytes
   */
  async createIn(
    storage: Storage,
    format: string,
    size: number,
    options: OptionValues = {},
  ): Promise<void> {
    const driver = this.#creatable(format, storage.location);
    const request = this.#request(driver, { format, options }, undefined, size);
    await new DriverCall(driver, storage.location).run(async () =>
      driver.create?.(storage, request),
    );
  }

  #creatable(format: string, location: string): BlockDriver {
    const driver = this.#drivers.get(format, location);
    if (driver.create === undefined) {
      throw new LamellaError('UNSUPPORTED', `the '${format}' driver can't make images`, {
        location,
      });
    }
    return driver;
  }

  #request(
    driver: BlockDriver,
    options: CreateImageOptions,
    backing: Reference | undefined,
    backingSize: number | undefined,
  ): CreateOptions {
    const size = options.size ?? backingSize;
    if (size === undefined || !Number.isSafeInteger(size) || size < 0) {
      throw new LamellaError(
        'INVALID_ARGUMENT',
        size === undefined ? 'a new image needs a size' : `an image can't have ${size} bytes`,
        { hint: 'Give `size` in bytes, or a backing file to take it from.' },
      );
    }
    const request: CreateOptions = {
      size,
      backing,
      passphrase: options.passphrase,
      options: parseOptions(
        driver.createOptions ?? {},
        options.options ?? {},
        `creating a ${driver.format} image`,
      ),
    };
    driver.validateCreate?.(request);
    return request;
  }

  async #backing(
    target: StorageName,
    options: CreateImageOptions,
    driver: BlockDriver,
  ): Promise<NewBacking> {
    if (options.backing === undefined) {
      return {};
    }
    if (driver.supportsBacking !== true) {
      throw new LamellaError('UNSUPPORTED', `${driver.format} images can't have a backing file`, {
        location: target.location,
      });
    }
    const named: Reference =
      typeof options.backing === 'string' ? { location: options.backing } : options.backing;
    if (options.uncheckedBacking === true) {
      return { reference: named };
    }
    const name = this.#resolver.resolveReference(named, target.location);
    const { layers } = await this.#resolver.open(name, {
      references: options.references,
      dataFilesBeside: options.dataFilesBeside,
      passphrases: options.passphrases,
      metadataOnly: options.backingMetadataOnly,
    });
    try {
      await this.#assertNotPartOf(layers, target);
      const [{ format, image }] = layers;
      return {
        reference: { location: named.location, format: named.format ?? format },
        size: image.size,
        inUse: layers.flatMap(filesOf),
      };
    } finally {
      await closeLayers(layers);
    }
  }

  /** Overwriting an image of the backing chain would destroy what the new image is to build on. */
  async #assertNotPartOf(layers: readonly Layer[], target: StorageName): Promise<void> {
    const existing = await target.driver
      .open(target.location, { writable: false })
      .catch(() => undefined);
    if (existing === undefined) {
      return;
    }
    await existing.close();
    if (existing.identity !== undefined && layers.flatMap(filesOf).includes(existing.identity)) {
      throw new LamellaError('CHAIN_LOOP', 'the new image would overwrite its own backing chain', {
        location: target.location,
        hint: 'Give the new image another name.',
      });
    }
  }
}

/** Identities of a layer's files. */
function filesOf({ storage, dataFile }: Layer): string[] {
  return [storage.identity, dataFile?.identity].filter((identity) => identity !== undefined);
}
