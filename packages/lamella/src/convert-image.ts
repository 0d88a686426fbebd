import {
  type ChainOptions,
  ChainResolver,
  type ConvertOptions,
  type ConvertResult,
  convertDisks,
  Disk,
  LamellaError,
  type PassphraseSource,
  StorageRegistry,
} from '@lamella/core';
import { inject, injectable } from 'tsyringe';
import { type CreateImageOptions, ImageCreator } from './image-creator.js';

/** How images are copied into a new one. */
export interface ConvertImageOptions
  extends Omit<CreateImageOptions, 'size' | 'uncheckedBacking' | 'passphrases'>,
    Omit<ConvertOptions, 'targetIsZero' | 'topOnly'> {
  /** Format of the sources; found by their content if not given. */
  readonly sourceFormat?: string | undefined;
  /** Asked for the passphrases of encrypted sources. */
  readonly passphrases?: PassphraseSource | undefined;
  /** How reads reach the sources; `'writeback'` by default. */
  readonly sourceCache?: ChainOptions['cache'];
  /** How writes reach the target; `'writeback'` by default. It is durable when the copy is done in any case. */
  readonly cache?: ChainOptions['cache'];
}

/** Copies images into new ones. */
@injectable()
export class ImageConverter {
  readonly #resolver: ChainResolver;
  readonly #creator: ImageCreator;
  readonly #storages: StorageRegistry;

  constructor(
    @inject(ChainResolver) resolver: ChainResolver,
    @inject(ImageCreator) creator: ImageCreator,
    @inject(StorageRegistry) storages: StorageRegistry,
  ) {
    this.#resolver = resolver;
    this.#creator = creator;
    this.#storages = storages;
  }

  /**
   * @throws LamellaError as `Lamella.convert`
   */
  async convert(
    sources: readonly string[],
    target: string,
    options: ConvertImageOptions,
  ): Promise<ConvertResult> {
    const disks: Disk[] = [];
    try {
      for (const location of sources) {
        const { layers, missing } = await this.#resolver.open(location, {
          format: options.sourceFormat,
          references: options.references,
          passphrases: options.passphrases,
          cache: options.sourceCache,
        });
        disks.push(new Disk(layers, [], missing));
      }
      await this.#assertNotRead(disks, target);
      const size = options.range?.length ?? disks.reduce((sum, disk) => sum + disk.size, 0);
      await this.#creator.create(target, { ...options, size, onProgress: undefined });
      try {
        return await this.#copyInto(disks, target, options);
      } catch (error) {
        // Part of a copy looks like a copy.
        await this.#creator.remove(target).catch(() => undefined);
        throw error;
      }
    } finally {
      for (const disk of disks) {
        await disk.close();
      }
    }
  }

  async #copyInto(
    disks: readonly Disk[],
    target: string,
    options: ConvertImageOptions,
  ): Promise<ConvertResult> {
    const { layers, missing } = await this.#resolver.open(target, {
      format: options.format,
      passphrase: options.passphrase,
      passphrases: options.passphrases,
      references: options.references,
      cache: options.cache,
      writable: true,
    });
    await using disk = new Disk(layers, [], missing);
    const backed = options.backing !== undefined;
    return await convertDisks(disks, disk, { ...options, targetIsZero: !backed, topOnly: backed });
  }

  /** Making the target anew would destroy a source that is the same file. */
  async #assertNotRead(disks: readonly Disk[], target: string): Promise<void> {
    const { driver, location } = this.#storages.resolve(target);
    const existing = await driver.open(location, { writable: false }).catch(() => undefined);
    if (existing === undefined) {
      return;
    }
    await existing.close();
    const layers = disks.flatMap(({ openLayers }) => openLayers);
    if (layers.some(({ storage }) => storage.identity === existing.identity)) {
      throw new LamellaError('CHAIN_LOOP', 'the copy would overwrite what it is made from', {
        location: target,
        hint: 'Give the copy another name.',
      });
    }
  }
}
