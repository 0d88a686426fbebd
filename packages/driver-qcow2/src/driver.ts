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
import { assertReadable, assertWritable, hasValidBitmaps, keptAutoclear } from './access.js';
import { AMEND_OPTIONS } from './amend/options.js';
import { withBitmaps } from './bitmaps/extension.js';
import { openForCheck } from './check/check-image.js';
import { repairUnclean } from './check/unclean.js';
import { createImage } from './create/create.js';
import { planLayout } from './create/layout.js';
import { CREATE_OPTIONS } from './create/options.js';
import { referencesOf } from './data-file/description.js';
import { openDataFile } from './data-file/open.js';
import { openEncryption } from './encryption/open.js';
import { ENCRYPTION_OPEN_OPTIONS } from './encryption/options.js';
import { EXTENSION, findExtension } from './header/extensions.js';
import { hasFeature, INCOMPATIBLE } from './header/features.js';
import { FIELD, type Header, MAGIC } from './header/header.js';
import { readHeader } from './header/parse.js';
import { rewriteHeader } from './header/rewrite.js';
import { featuresPatch } from './header/serialise.js';
import { validateTables } from './header/validate.js';
import { Qcow2Image, readParts } from './image.js';
import { measureImage } from './measure.js';
import { WritableQcow2Image } from './writable-image.js';
import { writeParts } from './write-parts.js';

/**
 * The qcow2 format, versions 2 and 3, after the specification in QEMU's `docs/interop/qcow2.rst`.
 * Register it under `BLOCK_DRIVER`.
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
    let header = await readHeader(storage);
    if (options.forCheck === true) {
      return openForCheck(storage, header);
    }
    validateTables(header, storage.size, storage.location);
    assertReadable(header, storage.location);
    if (options.writable) {
      assertWritable(header, storage.location);
    }
    const dataFile = await openDataFile(header, storage.location, options);
    const encryption = await openEncryption(header, storage, options, this.#crypto);
    if (options.writable && hasFeature(header.incompatible, INCOMPATIBLE.dirty)) {
      await options.beforeWriting?.(referencesOf(header));
      header = await repairUnclean(storage, header);
    }
    const setup = {
      storage,
      header,
      cacheSize: options.cacheSize,
      codecs: this.#codecs,
      encryption,
      dataFile,
    };
    const parts = await readParts(setup);
    if (!options.writable) {
      return new Qcow2Image(parts);
    }
    const writable = new WritableQcow2Image(await writeParts(parts));
    await options.beforeWriting?.(writable.references);
    await clearUnknownFeatures(storage, header);
    return writable;
  }

  async create(storage: Storage, options: CreateOptions): Promise<void> {
    await createImage(storage, options, this.#crypto);
  }

  validateCreate(options: CreateOptions): void {
    planLayout(options, this.#crypto);
  }

  /** As `qemu-img measure`: all metadata of the whole disk, and the clusters that hold data. */
  measure(request: MeasureRequest): Promise<Measurement> {
    return measureImage(request, this.#crypto);
  }
}

/**
 * Data of autoclear features that this driver does not keep current count as stale from now on. Bitmaps that
 * are stale already are forgotten; QEMU does so too and warns as long as they are there.
 */
async function clearUnknownFeatures(storage: Storage, header: Header): Promise<void> {
  const kept = keptAutoclear(header);
  const stale = findExtension(header.extensions, EXTENSION.bitmaps);
  if (header.version === 3 && stale !== undefined && !hasValidBitmaps(header)) {
    await rewriteHeader(storage, withBitmaps({ ...header, autoclear: kept }, undefined));
  } else if (header.autoclear.high !== kept.high || header.autoclear.low !== kept.low) {
    const patch = featuresPatch('autoclear', kept);
    await storage.write(patch.bytes, patch.offset);
    await storage.flush();
  }
}
