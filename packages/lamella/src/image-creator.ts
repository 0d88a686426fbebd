import {
  type BlockDriver,
  ChainResolver,
  type CreateOptions,
  closeLayers,
  DriverRegistry,
  LamellaError,
  type OptionValues,
  type Passphrase,
  type PassphraseSource,
  parseOptions,
  type Reference,
  type Storage,
  StorageRegistry,
} from '@lamella/core';
import { inject, injectable } from 'tsyringe';

/** What image to make. */
export interface CreateImageOptions {
  /** Format of the new image. */
  readonly format: string;
  /** Size of the disk in bytes; that of the backing file if not given. */
  readonly size?: number | undefined;
  /**
   * Backing file to name in the image: the text is stored as given, and means a path relative to the
   * new image. It must exist; its format is found by content if not given, and stored.
   */
  readonly backing?: string | Reference | undefined;
  /** Options of the format under qemu-img's names: `{ cluster_size: '2M', compat: '0.10' }`. */
  readonly options?: OptionValues | undefined;
  /** Passphrase of an image to be encrypted, by the options of its format. */
  readonly passphrase?: Passphrase | undefined;
  /** Asked for the passphrase of encrypted backing files, which are opened for their size. */
  readonly passphrases?: PassphraseSource | undefined;
  /** Replace an existing file. False by default: an existing file is an error. */
  readonly overwrite?: boolean | undefined;
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
    const driver = this.#creatable(options.format);
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
    const backing = await this.#backing(location, options, driver);
    const request = this.#request(driver, options, backing.reference, backing.size);
    const storage = await createStorage.call(target.driver, target.location, {
      overwrite: options.overwrite ?? false,
    });
    try {
      await driver.create?.(storage, request);
      await storage.close();
    } catch (error) {
      await storage.close().catch(() => undefined);
      await target.driver.remove?.(target.location).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Makes an image in a storage that is open already.
   *
   * @throws LamellaError `UNKNOWN_FORMAT`, `UNSUPPORTED`, `INVALID_ARGUMENT`, and what the driver throws
   */
  async createIn(
    storage: Storage,
    format: string,
    size: number,
    options: OptionValues = {},
  ): Promise<void> {
    const driver = this.#creatable(format);
    await driver.create?.(storage, this.#request(driver, { format, options }, undefined, size));
  }

  #creatable(format: string): BlockDriver {
    const driver = this.#drivers.get(format);
    if (driver.create === undefined) {
      throw new LamellaError('UNSUPPORTED', `the '${format}' driver can't make images`);
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
    location: string,
    options: CreateImageOptions,
    driver: BlockDriver,
  ): Promise<{ readonly reference?: Reference; readonly size?: number }> {
    if (options.backing === undefined) {
      return {};
    }
    if (driver.supportsBacking !== true) {
      throw new LamellaError('UNSUPPORTED', `${driver.format} images can't have a backing file`, {
        location,
      });
    }
    const named: Reference =
      typeof options.backing === 'string' ? { location: options.backing } : options.backing;
    const resolved = named.location.startsWith('json:')
      ? named.location
      : this.#storages.resolve(named.location).driver.resolve(named.location, location);
    const { layers } = await this.#resolver.open(resolved, {
      format: named.format,
      passphrases: options.passphrases,
    });
    const [{ format, image }] = layers;
    const size = image.size;
    await closeLayers(layers);
    return { reference: { location: named.location, format: named.format ?? format }, size };
  }
}
