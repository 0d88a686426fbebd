import {
  type BlockDriver,
  COMPRESSION_CODEC,
  type CompressionCodec,
  CRYPTO_PLATFORM,
  type CreateOptions,
  type CryptoPlatform,
  type Image,
  type Measurement,
  type MeasureRequest,
  type OpenOptions,
  type Storage,
  viewOf,
} from '@lamella/core';
import { inject, injectAll, injectable } from 'tsyringe';
import { assertReadable, assertWritable } from './access.js';
import { AMEND_OPTIONS } from './amend/options.js';
import { planLayout } from './create/layout.js';
import { CREATE_OPTIONS } from './create/options.js';
import { openDataFile } from './data-file/open.js';
import { openEncryption } from './encryption/open.js';
import { ENCRYPTION_OPEN_OPTIONS } from './encryption/options.js';
import { FIELD, MAGIC } from './header/header.js';
import { readHeader } from './header/parse.js';
import { validateTables } from './header/validate.js';
import { Qcow2Image, readParts } from './image.js';

/**
 * The qcow2 format, versions 2 and 3, after the specification in QEMU's `docs/interop/qcow2.rst`.
 * Register it under `BLOCK_DRIVER`.
 *
 * What reading does not need is loaded when it is first asked for: it is two thirds of the code.
 */
@injectable()
export class Qcow2Driver implements BlockDriver {
  readonly format = 'qcow2';
  readonly createOptions = CREATE_OPTIONS;
  readonly openOptions = ENCRYPTION_OPEN_OPTIONS;
  readonly amendOptions = AMEND_OPTIONS;
  readonly supportsBacking = true;
  readonly supportsCompression = true;
  readonly supportsBitmaps = true;
  readonly #codecs: readonly CompressionCodec[];
  readonly #crypto: CryptoPlatform | undefined;

  /**
   * @param codecs - for compressed clusters: `deflate` and `zstd`; without them, other clusters can be
   * read all the same
   * @param crypto - for encrypted images
   */
  constructor(
    @injectAll(COMPRESSION_CODEC, { isOptional: true }) codecs: CompressionCodec[],
    @inject(CRYPTO_PLATFORM, { isOptional: true }) crypto?: CryptoPlatform,
  ) {
    this.#codecs = codecs;
    this.#crypto = crypto;
  }

  /** The magic alone decides: a cut or unknown header is to be refused, not taken for a raw disk. */
  probe(head: Uint8Array): number {
    return head.length >= 4 && viewOf(head).getUint32(FIELD.magic) === MAGIC ? 100 : 0;
  }

  async open(storage: Storage, options: OpenOptions): Promise<Image> {
    const header = await readHeader(storage);
    if (options.forCheck === true) {
      const { openForCheck } = await import('./check/check-image.js');
      return openForCheck(storage, header);
    }
    validateTables(header, storage.size, storage.location);
    assertReadable(header, storage.location);
    if (options.writable) {
      assertWritable(header, storage.location);
    }
    const setup = {
      storage,
      header,
      cacheSize: options.cacheSize,
      codecs: this.#codecs,
      dataFile: await openDataFile(header, storage.location, options),
      encryption: await openEncryption(header, storage, options, this.#crypto),
    };
    if (!options.writable) {
      return new Qcow2Image(await readParts(setup));
    }
    const { openWritable } = await import('./open-writable.js');
    return openWritable(setup, options.beforeWriting);
  }

  async create(storage: Storage, options: CreateOptions): Promise<void> {
    const { createImage } = await import('./create/create.js');
    await createImage(storage, options, this.#crypto);
  }

  validateCreate(options: CreateOptions): void {
    planLayout(options, this.#crypto);
  }

  /** As `qemu-img measure`: all metadata of the whole disk, and the clusters that hold data. */
  async measure(request: MeasureRequest): Promise<Measurement> {
    const { measureImage } = await import('./measure.js');
    return measureImage(request, this.#crypto);
  }
}
