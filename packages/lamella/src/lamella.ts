import {
  assertDriver,
  BLOCK_DRIVER,
  type BlockDriver,
  type ChainLink,
  type ChainOptions,
  ChainResolver,
  type CheckImageOptions,
  type CheckResult,
  COMPRESSION_CODEC,
  type CommitOptions,
  type CommitResult,
  type CompareResult,
  type ConvertResult,
  checkImage,
  commitImage,
  compareDisks,
  Disk,
  DiskStorage,
  DriverRegistry,
  LamellaError,
  type Layer,
  type Measurement,
  MemoryStorage,
  measureImage,
  type RebaseOptions,
  type RebaseResult,
  type References,
  rebaseImage,
  STORAGE_DRIVER,
  silentLogger,
} from '@lamella/core';
import {
  type DependencyContainer,
  container as globalContainer,
  type InjectionToken,
} from 'tsyringe';
import { registerBuiltins } from './builtins.js';
import { type ComposePart, composeLayers } from './compose.js';
import { inherit, resolving } from './container.js';
import { type ConvertImageOptions, ImageConverter } from './convert-image.js';
import { type CreateImageOptions, ImageCreator } from './image-creator.js';
import type {
  BlockDriverClass,
  CompareImageOptions,
  ComposeOptions,
  FilterOptions,
  LamellaOptions,
  MeasureImageOptions,
  OverlayOptions,
} from './options.js';

/**
 * The way in: opens, makes and composes virtual disks with the built-in drivers and any others that are
 * registered. Each has a container of its own, so differently set-up ones live side by side.
 *
 * @example
 * ```ts
 * import { Lamella } from 'lamella';
 *
 * const lamella = new Lamella();
 * await using disk = await lamella.open('vm.qcow2');
 * ```
 */
export class Lamella {
  /**
   * Container of this configuration. `container.register(BLOCK_DRIVER, { useClass: AcmeDriver })` adds
   * a format, other tokens swap a part; what is registered here is seen by every later call.
   */
  readonly container: DependencyContainer;

  constructor(options: LamellaOptions = {}) {
    const parent = options.container ?? globalContainer;
    this.container = parent.createChildContainer();
    registerBuiltins(this.container, options.logger ?? silentLogger);
    inherit(parent, this.container, BLOCK_DRIVER);
    inherit(parent, this.container, STORAGE_DRIVER);
    inherit(parent, this.container, COMPRESSION_CODEC);
  }

  /** Names of the formats that can be opened, sorted. */
  get formats(): readonly string[] {
    return this.#resolve(DriverRegistry).formats;
  }

  /**
   * Adds a format.
   *
   * @param driver - an `@injectable()` class, or one whose constructor takes nothing
   * @throws LamellaError `DUPLICATE_DRIVER` when its format is taken, `DRIVER_INCOMPATIBLE` for a driver that was
   * built for another version of the interfaces, `DRIVER_FAILED` for a class that makes no driver
   */
  register(driver: BlockDriverClass): this {
    const { format } = this.#make(driver);
    if (this.formats.includes(format)) {
      throw new LamellaError('DUPLICATE_DRIVER', `a driver for '${format}' is registered already`, {
        hint: 'Register only one of them; another Lamella may have the other.',
      });
    }
    this.container.register(BLOCK_DRIVER, { useToken: driver });
    return this;
  }

  /**
   * Adds the formats of a package: of the class that is its default export, and of all exports whose names end in
   * `Driver`. The package is loaded, so its code runs.
   *
   * @param name - of an installed package, or a path that begins with `.` or `/`
   * @param from - folder from which packages and paths are looked for; the working directory by default
   * @throws LamellaError `DRIVER_NOT_FOUND` for a package that is not there or has no driver,
   * `DRIVER_INCOMPATIBLE` for one that asks for another version of `@lamella/core`, `DRIVER_FAILED` for one that
   * can't be loaded, and as {@link Lamella.register}
   */
  async registerPackage(name: string, from?: string): Promise<this> {
    const { loadDrivers } = await import('./driver-package.js');
    for (const driver of await loadDrivers(name, from ?? process.cwd())) {
      this.register(driver);
    }
    return this;
  }

  /**
   * Opens an image with its whole backing chain.
   *
   * @param location - a path, a `scheme:` location or a `json:` name
   * @param options - read-only and following all references by default; see `ReferencePolicy` for
   * untrusted images
   * @throws LamellaError `NOT_FOUND`, `PERMISSION_DENIED`, `NOT_A_FILE`, `UNKNOWN_FORMAT`,
   * `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`, `LIMIT_EXCEEDED`, `CORRUPT`,
   * `CHAIN_LOOP`, `CHAIN_TOO_DEEP`, `REFERENCE_DENIED`, `PASSPHRASE_REQUIRED`, `WRONG_PASSPHRASE`; `LOCKED` when somebody else uses a file of the
   * chain in a way that does not go with this
   *
   * @example
   * ```ts
   * await using disk = await lamella.open('vm.qcow2', { writable: true });
   * await disk.write(new TextEncoder().encode('hello'), 4096);
   * await disk.flush();
   * ```
   */
  async open(location: string, options: ChainOptions = {}): Promise<Disk> {
    const { layers, missing } = await this.#resolve(ChainResolver).open(location, options);
    return new Disk(layers, [], missing);
  }

  /**
   * Makes an image and closes it. Everything is checked before the file is touched; a failure leaves no
   * half-made file.
   *
   * @throws LamellaError `ALREADY_EXISTS`, `UNKNOWN_FORMAT`, `UNSUPPORTED`, `INVALID_ARGUMENT`,
   * `LIMIT_EXCEEDED`, `NO_SPACE`, `LOCKED`, `PASSPHRASE_REQUIRED`, and what opening the backing file throws
   *
   * @example
   * ```ts
   * await lamella.create('vm.qcow2', {
   *   format: 'qcow2',
   *   size: 20 * 1024 ** 3,
   *   options: { cluster_size: '128k' },
   * });
   * ```
   */
  async create(location: string, options: CreateImageOptions): Promise<void> {
    await this.#resolve(ImageCreator).create(location, options);
  }

  /**
   * Checks one image, and repairs it if asked to. What the image names is not opened, and the image
   * itself for writing only if it is to be repaired.
   *
   * @returns what was found; damage is no error
   * @throws LamellaError `UNSUPPORTED` for a format that has nothing to check, `ABORTED`, and what opening
   * the image throws: a damaged header is an error
   *
   * @example
   * ```ts
   * const { corruptions, leaks } = await lamella.check('vm.qcow2');
   * console.log(corruptions + leaks === 0 ? 'sound' : 'damaged');
   * ```
   */
  check(location: string, options: CheckImageOptions = {}): Promise<CheckResult> {
    return checkImage(this.#resolve(ChainResolver), location, options);
  }

  /**
   * Writes what an image holds into its backing image, which grows if need be, and empties the image
   * unless `keep`. What the image shows stays the same all the while, whenever the machine stops.
   *
   * @throws LamellaError `INVALID_ARGUMENT` for an image without backing file, `REFERENCE_DENIED`,
   * `UNSUPPORTED`, `ABORTED`, and what opening, reading and writing throws
   *
   * @example
   * ```ts
   * const { copied } = await lamella.commit('overlay.qcow2');
   * ```
   */
  commit(location: string, options: CommitOptions = {}): Promise<CommitResult> {
    return commitImage(this.#resolve(ChainResolver), location, options);
  }

  /**
   * Puts an image onto another backing file, or none: first copies into the image what the new one does
   * not hold, unless `unsafe`. What the image shows stays the same all the while, whenever the machine
   * stops.
   *
   * @throws LamellaError `UNSUPPORTED`, `REFERENCE_DENIED`, `CHAIN_LOOP`, `LIMIT_EXCEEDED`, `ABORTED`, and
   * what opening, reading and writing throws
   *
   * @example
   * ```ts
   * await lamella.rebase('overlay.qcow2', { backing: { location: 'new.qcow2', format: 'qcow2' } });
   * ```
   */
  rebase(location: string, options: RebaseOptions): Promise<RebaseResult> {
    return rebaseImage(this.#resolve(ChainResolver), location, options);
  }

  /**
   * Copies an image, or several one behind the other, into a new one of any format. Holes and runs of zeroes
   * stay holes; with `backing`, only what the source's top image holds is copied. The copy is durable when this
   * resolves; a failure or an abort leaves no part of it.
   *
   * @param source - one location, or several
   * @param target - must not exist, unless `overwrite`
   * @throws LamellaError as {@link Lamella.open} and {@link Lamella.create}, `ABORTED`, `CHAIN_LOOP` when the
   * target is a source, `UNSUPPORTED` when it can't be compressed
   *
   * @example
   * ```ts
   * await lamella.convert('disk.raw', 'disk.qcow2', {
   *   sourceFormat: 'raw',
   *   format: 'qcow2',
   *   compress: true,
   *   onProgress: ({ done, total }) => console.log(`${Math.floor((done / total) * 100)} %`),
   * });
   * ```
   */
  convert(
    source: string | readonly string[],
    target: string,
    options: ConvertImageOptions,
  ): Promise<ConvertResult> {
    const sources = typeof source === 'string' ? [source] : source;
    return this.#resolve(ImageConverter).convert(sources, target, options);
  }

  /**
   * Finds the first difference between two disks, which may be of any formats and sizes.
   *
   * @throws LamellaError as {@link Lamella.open} and reading throw, `ABORTED`
   *
   * @example
   * ```ts
   * const { difference } = await lamella.compare('a.qcow2', 'b.raw', { otherFormat: 'raw' });
   * console.log(difference === 'none' ? 'identical' : difference);
   * ```
   */
  async compare(
    left: string,
    right: string,
    options: CompareImageOptions = {},
  ): Promise<CompareResult> {
    await using first = await this.open(left, { ...options, format: options.format });
    await using second = await this.open(right, { ...options, format: options.otherFormat });
    return await compareDisks(first, second, options);
  }

  /**
   * Tells how much space a new image would take: an empty one, or a copy of an image.
   *
   * @param source - size of the disk in bytes, or the image that would be copied
   * @throws LamellaError `UNKNOWN_FORMAT`, `UNSUPPORTED` when the format's driver can't measure,
   * `INVALID_ARGUMENT`, `ABORTED`, and as {@link Lamella.open}
   *
   * @example
   * ```ts
   * const { required } = await lamella.measure('disk.raw', { format: 'qcow2', sourceFormat: 'raw' });
   * ```
   */
  async measure(source: number | string, options: MeasureImageOptions): Promise<Measurement> {
    const { format, sourceFormat, ...request } = options;
    const driver = this.#resolve(DriverRegistry).get(format);
    if (typeof source === 'number') {
      return measureImage(driver, source, request);
    }
    // The options are those of the new image, not of the source.
    await using disk = await this.open(source, {
      ...request,
      options: undefined,
      format: sourceFormat,
    });
    return await measureImage(driver, disk, request);
  }

  /**
   * Opens a chain of given parts, top first, none of which has to name the others on disk. What the
   * parts themselves name is not looked at, except for data files, and for the last part's own backing
   * chain: both by the reference policy.
   *
   * @param parts - at least one
   * @throws LamellaError as {@link Lamella.open} and {@link Lamella.create}
   *
   * @example
   * ```ts
   * await using chain = await lamella.compose([
   *   { location: 'scratch.qed', format: 'qed', create: true },
   *   { location: 'base.img', format: 'raw' },
   * ]);
   * ```
   */
  async compose(parts: readonly ComposePart[], options: ComposeOptions = {}): Promise<Disk> {
    const { layers, missing } = await composeLayers(
      parts,
      options,
      this.#resolve(ChainResolver),
      this.#resolve(ImageCreator),
    );
    return new Disk(layers, [], missing);
  }

  /**
   * Puts a writable layer in memory on top of a disk. Closing it drops what was written and leaves the
   * disk open. While it is in use, the disk below should not be written.
   *
   * @throws LamellaError `NO_SPACE` from writes beyond `maxBytes`
   *
   * @example
   * ```ts
   * await using trial = await lamella.overlay(disk, { maxBytes: 64 * 1024 ** 2 });
   * await trial.write(new Uint8Array(512), 0); // the disk below stays as it is
   * ```
   */
  async overlay(disk: Disk, options: OverlayOptions = {}): Promise<Disk> {
    const format = options.format ?? 'qcow2';
    const storage = new MemoryStorage({
      location: `memory:overlay of ${disk.location}`,
      maxBytes: options.maxBytes,
    });
    await this.#resolve(ImageCreator).createIn(
      storage,
      format,
      options.size ?? disk.size,
      options.options,
    );
    const top: Layer = await this.#resolve(ChainResolver).openIn(
      storage,
      { format },
      { writable: true },
    );
    return new Disk([top], disk.openLayers, disk.missingBacking);
  }

  /**
   * Looks at a disk through a filter (`@lamella/filters`), or at an image that lies on a disk. Closing the
   * result leaves the disk open; while it is in use, the disk should not be written past it.
   *
   * @throws LamellaError `UNKNOWN_FORMAT`, `UNSUPPORTED` for an image that names a backing file, and what the
   * driver throws
   *
   * @example
   * ```ts
   * import { ThrottleDriver } from '@lamella/filters';
   *
   * lamella.register(ThrottleDriver);
   * await using slow = await lamella.filter(disk, {
   *   format: 'throttle',
   *   options: { 'bps-total': '10M' },
   * });
   * ```
   */
  async filter(disk: Disk, { format, options, writable }: FilterOptions): Promise<Disk> {
    const layer = await this.#resolve(ChainResolver).openIn(
      new DiskStorage(disk),
      { format, options },
      { writable: writable ?? disk.isWritable, follow: refuseReferences },
    );
    return new Disk([layer]);
  }

  #make(driver: BlockDriverClass): BlockDriver {
    const who = 'name' in driver ? `'${driver.name}'` : 'a class';
    const made: unknown = this.#resolve(driver, who);
    assertDriver(made, who);
    return made;
  }

  #resolve<T>(token: InjectionToken<T>, what?: string): T {
    return resolving(() => this.container.resolve(token), what);
  }
}

/** Names in an image that lies on a disk mean nothing outside that disk. */
async function refuseReferences({ backing, dataFile }: References, { storage }: ChainLink) {
  const reference = backing ?? dataFile;
  if (reference !== undefined) {
    throw new LamellaError('UNSUPPORTED', `the image names another file, '${reference.location}'`, {
      location: storage.location,
      hint: 'Only images that stand alone can be opened on a disk.',
    });
  }
}
