import {
  type BlockDriver,
  type CreateOptions,
  Disk,
  type Image,
  MemoryStorage,
  type OpenOptions,
  type OptionValues,
  parseOptions,
  type Reference,
  type Storage,
} from '@lamella/core';
import { pattern, storageContent } from '../model/bytes.js';
import { LastingStorage } from '../storage/lasting-storage.js';
import { flatLayer } from './flat-image.js';
import type { Abilities, ConformanceManifest, DriverSource, SampleImage } from './manifest.js';

const SECTOR = 512;
/** Clusters of a disk that the suite makes. */
const CLUSTERS = 20;
/** Least bytes of one, so that small clusters need more than one table. */
const MIN_SIZE = 256 * 1024;
/** Most, so that large clusters do not make checks slow. */
const MAX_SIZE = 4 * 1024 * 1024;

/** How a disk under test is opened. */
export interface DiskOptions extends Partial<OpenOptions> {
  /** What the layer below holds, if there is one. */
  readonly backing?: Uint8Array | undefined;
}

/** An image that checks start from, with its name. */
export interface NamedSample {
  /** Part of the checks' names. */
  readonly name: string;
  /** The image; made once. */
  get(): Promise<SampleImage>;
}

/** The driver under test, and images of the kind that the manifest describes. */
export class Subject {
  readonly manifest: ConformanceManifest;
  /** Images that nothing but reading is tried on. */
  readonly samples: readonly NamedSample[];
  /** Images that the driver made, as start for changes: empty, filled, over another. */
  readonly starts: readonly NamedSample[];
  readonly #source: DriverSource;
  #image: Promise<{ readonly unit: number; readonly methods: ReadonlySet<string> }> | undefined;

  constructor(source: DriverSource, manifest: ConformanceManifest) {
    this.#source = source;
    this.manifest = manifest;
    this.starts = manifest.create === undefined ? [] : this.#ownImages();
    const given = (manifest.samples ?? []).map((sample) =>
      once(sample.name, async () => plain(await sample.make())),
    );
    this.samples = [...this.starts, ...given];
  }

  /** A new driver object. */
  driver(): BlockDriver {
    const source = this.#source;
    return isClass(source) ? new source() : source();
  }

  /** Seed of a random check, of its own for each name. */
  seed(name: string): number {
    let hash = this.manifest.seed ?? 1;
    for (const character of name) {
      hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
    }
    return hash >>> 0;
  }

  /** How often to do something random. */
  effort(usual: number): number {
    return Math.max(1, Math.round(usual * (this.manifest.effort ?? 1)));
  }

  /** All of them, or the last one, which is the richest, with less effort than usual. */
  usually<T>(starts: readonly T[]): readonly T[] {
    return (this.manifest.effort ?? 1) < 1 ? starts.slice(-1) : starts;
  }

  /** Whether an ability is to be tested; what the manifest does not say, the image says. */
  async can(ability: keyof Abilities): Promise<boolean> {
    const said = this.manifest.abilities?.[ability];
    if (said !== undefined) {
      return said;
    }
    const driver = this.driver();
    if (ability === 'backing') {
      return driver.supportsBacking === true;
    }
    if (ability === 'probe') {
      return driver.probe !== undefined;
    }
    if (ability === 'measure') {
      return driver.measure !== undefined;
    }
    return (await this.#probeImage()).methods.has(ability === 'write' ? 'place' : ability);
  }

  /** Cluster size of the images that the driver makes, at least a sector: the unit that tests think in. */
  async unit(): Promise<number> {
    return (await this.#probeImage()).unit;
  }

  /** Bytes of a disk to make. */
  async size(): Promise<number> {
    const given = this.manifest.create?.size;
    if (given !== undefined) {
      return given;
    }
    const size = Math.max(MIN_SIZE, Math.min(MAX_SIZE, CLUSTERS * (await this.unit())));
    return size + 3 * SECTOR;
  }

  /** Create options, completed as the library completes them. */
  creation(
    size: number,
    { options, backing }: { options?: OptionValues; backing?: Reference } = {},
  ): CreateOptions {
    const { createOptions = {}, format } = this.driver();
    const values = { ...this.manifest.create?.options, ...options };
    return {
      size,
      backing,
      passphrase: this.manifest.create?.passphrase,
      options: parseOptions(createOptions, values, `creating a ${format} image`),
    };
  }

  /** Makes an image in a storage. */
  async create(storage: Storage, options: CreateOptions): Promise<void> {
    const driver = this.driver();
    driver.validateCreate?.(options);
    if (driver.create === undefined) {
      throw new Error('the manifest has `create`, and the driver no method of that name');
    }
    await driver.create(storage, options);
  }

  /** Opens an image as the library does, for reading unless told otherwise. */
  open(storage: Storage, options: Partial<OpenOptions> = {}): Promise<Image> {
    return this.driver().open(storage, { writable: false, ...this.manifest.open, ...options });
  }

  /** A disk over a storage that stays open when the disk is closed. */
  async disk(storage: Storage, options: DiskOptions = {}): Promise<Disk> {
    const { backing, ...rest } = options;
    const image = await this.open(storage, rest);
    return this.diskOf(image, storage, { backing, writable: rest.writable ?? false });
  }

  /** A disk over an image that is open already. */
  diskOf(
    image: Image,
    storage: Storage,
    options: { readonly backing?: Uint8Array | undefined; readonly writable: boolean },
  ): Disk {
    const { backing, writable } = options;
    const { format } = this.driver();
    const below = backing === undefined ? [] : [flatLayer(backing)];
    return new Disk([{ format, storage: new LastingStorage(storage), image, writable }], below);
  }

  /** Bytes of a new image. */
  async newImage(size: number, backing?: Reference): Promise<Uint8Array> {
    const storage = new MemoryStorage({ location: 'memory:under-test' });
    await this.create(storage, this.creation(size, backing === undefined ? {} : { backing }));
    return storageContent(storage);
  }

  #ownImages(): NamedSample[] {
    const { abilities } = this.manifest;
    const empty = once('empty', async () => {
      const size = await this.size();
      return { image: await this.newImage(size), content: new Uint8Array(size) };
    });
    const starts = [empty];
    if (abilities?.write !== false) {
      starts.push(once('filled', async () => this.#filled(await empty.get(), 1)));
    }
    if (abilities?.backing === true) {
      const over = once('over another', async () => this.#over());
      starts.push(over);
      if (abilities.write !== false) {
        starts.push(once('filled over another', async () => this.#filled(await over.get(), 2)));
      }
    }
    return starts;
  }

  /** An image over a shorter disk. */
  async #over(): Promise<SampleImage> {
    const size = await this.size();
    const backing = pattern(77, 0, size - 2 * SECTOR - Math.floor((await this.unit()) / 2));
    const content = new Uint8Array(size);
    content.set(backing);
    return {
      image: await this.newImage(size, { location: 'below.img', format: 'raw' }),
      content,
      backing,
    };
  }

  /** The same image with some of its clusters written, whole or in part. */
  async #filled(start: SampleImage, seed: number): Promise<SampleImage> {
    const storage = MemoryStorage.from(start.image, { location: 'memory:under-test' });
    const disk = await this.disk(storage, { writable: true, backing: start.backing });
    const content = start.content.slice();
    const unit = await this.unit();
    const write = async (offset: number, length: number): Promise<void> => {
      const inside = Math.min(length, content.length - offset);
      if (inside > 0) {
        const bytes = pattern(seed, offset, inside);
        await disk.write(bytes, offset);
        content.set(bytes, offset);
      }
    };
    await write(0, unit * 2);
    await write(unit * 3, unit);
    await write(unit * 5 + Math.floor(unit / 3), Math.floor(unit / 3));
    await write(unit * 9, unit * 2 + 100);
    await write(content.length - 700, 700);
    if (content.length >= unit * 2) {
      await disk.writeZeroes(unit, unit);
      content.fill(0, unit, unit * 2);
    }
    await disk.close();
    return { image: await storageContent(storage), content, backing: start.backing };
  }

  #probeImage(): Promise<{ readonly unit: number; readonly methods: ReadonlySet<string> }> {
    this.#image ??= this.#lookAtImage();
    return this.#image;
  }

  async #lookAtImage() {
    const { create, samples = [] } = this.manifest;
    const bytes =
      create === undefined
        ? (await samples[0]?.make())?.image
        : await this.newImage(create.size ?? MIN_SIZE);
    if (bytes === undefined) {
      throw new Error('the manifest needs `create`, or at least one sample');
    }
    const image = await this.open(MemoryStorage.from(bytes), { writable: create !== undefined });
    const offered = METHODS.filter((method) => image[method] !== undefined);
    const unit = Math.max(SECTOR, image.clusterSize);
    await image.close();
    return { unit, methods: new Set<string>(offered) };
  }
}

const METHODS = ['place', 'zero', 'discard', 'resize', 'check'] as const;

/** In arrays of our own, whose `slice` copies: that of a `Buffer` does not. */
function plain({ image, content, backing }: SampleImage): SampleImage {
  return {
    image: new Uint8Array(image),
    content: new Uint8Array(content),
    backing: backing === undefined ? undefined : new Uint8Array(backing),
  };
}

function once(name: string, make: () => SampleImage | Promise<SampleImage>): NamedSample {
  let made: Promise<SampleImage> | undefined;
  return {
    name,
    get: () => {
      made ??= Promise.resolve().then(make);
      return made;
    },
  };
}

/** Arrow functions and methods have no prototype; whatever has one may be made with `new`. */
function isClass(source: DriverSource): source is new () => BlockDriver {
  return 'prototype' in source && source.prototype !== undefined;
}
