import {
  alignDown,
  type BlockDriver,
  type CreateOptions,
  LamellaError,
  LOGGER,
  type Logger,
  MIN_CACHED_SLICES,
  type OpenOptions,
  type Storage,
  silentLogger,
} from '@lamella/core';
import { inject, injectable } from 'tsyringe';
import type { AllocatorState } from './allocator.js';
import { type CheckResult, checkImage } from './check.js';
import { CREATE_OPTIONS, createImage, planCreate } from './create.js';
import { SLICE_SIZE } from './geometry.js';
import { encodeField, FEATURE, FIELD, hasMagic, type QedHeader, readHeader } from './header.js';
import { QedImage } from './qed-image.js';

/** Bytes of metadata that are cached unless the caller says otherwise. */
const DEFAULT_CACHE_SIZE = 32 * 1024 * 1024;
/** Least of it. */
const MIN_CACHE_SIZE = MIN_CACHED_SLICES * SLICE_SIZE;

/**
 * QEMU's enhanced disk format: two levels of tables and an append pointer, written to the
 * specification `docs/interop/qed_spec.rst`.
 */
@injectable()
export class QedDriver implements BlockDriver {
  readonly format = 'qed';
  readonly createOptions = CREATE_OPTIONS;
  readonly supportsBacking = true;
  readonly #logger: Logger;

  /**
   * @param logger - is told when an image had to be repaired
   */
  constructor(@inject(LOGGER, { isOptional: true }) logger?: Logger) {
    this.#logger = logger ?? silentLogger;
  }

  probe(head: Uint8Array): number {
    return hasMagic(head) ? 100 : 0;
  }

  /**
   * Opens an image. One that was not closed cleanly is checked and repaired when `writable`; read-only
   * it opens as it is and says so in `options.need_check`.
   *
   * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`,
   * `LIMIT_EXCEEDED`; `CORRUPT` for an unclean image that cannot be repaired without loss
   */
  async open(storage: Storage, options: OpenOptions): Promise<QedImage> {
    const header = await readHeader(storage);
    const { writable } = options;
    const unclean = (header.features & FEATURE.needCheck) !== 0;
    const found = writable && unclean ? await findDamage(storage, header) : undefined;
    if (writable) {
      await options.beforeWriting?.({ backing: header.backing });
    }
    if (writable && header.hasAutoclear) {
      await storage.write(encodeField(0), FIELD.autoclearFeatures);
      await storage.flush();
    }
    const allocation =
      found === undefined
        ? { end: alignDown(storage.size, header.geometry.clusterSize), free: [] }
        : await this.#repair(storage, header, found);
    const cacheSize = Math.max(MIN_CACHE_SIZE, options.cacheSize ?? DEFAULT_CACHE_SIZE);
    return new QedImage({ storage, header, writable, cacheSize, allocation });
  }

  /**
   * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`
   */
  validateCreate(options: CreateOptions): void {
    planCreate(options);
  }

  /**
   * Makes an empty image. The size is rounded up to a multiple of 512 bytes. A backing format is
   * recorded for `raw` only: QED has no room for other names.
   *
   * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, and as `Storage.write`
   */
  create(storage: Storage, options: CreateOptions): Promise<void> {
    return createImage(storage, options);
  }

  async #repair(
    storage: Storage,
    { geometry }: QedHeader,
    found: CheckResult,
  ): Promise<AllocatorState> {
    if (found.corruptions === 0) {
      // Nothing refers to what lies behind: space of writes that were never finished.
      return { end: found.end, free: found.leakedRuns };
    }
    const repaired = await checkImage(storage, geometry, { repair: true });
    await storage.flush();
    this.#logger.warn(
      `${storage.location}: was not closed cleanly; cleared ${repaired.fixed} table entries that pointed outside the file`,
    );
    // What a cleared table referred to may still be of use to somebody: nothing is cut off or reused.
    return { end: alignDown(storage.size, geometry.clusterSize), free: [] };
  }
}

/** @throws LamellaError `CORRUPT` when not all of it can be repaired */
async function findDamage(storage: Storage, { geometry }: QedHeader): Promise<CheckResult> {
  const found = await checkImage(storage, geometry, { repair: false });
  if (found.corruptions > found.repairable) {
    throw unrepairable(storage.location, found);
  }
  return found;
}

function unrepairable(location: string, { corruptions, repairable }: CheckResult): LamellaError {
  return new LamellaError(
    'CORRUPT',
    `the image was not closed cleanly and ${corruptions - repairable} of its table entries share clusters with others`,
    {
      location,
      hint: 'Open it read-only and copy what is good to a new image, or repair it with another program.',
    },
  );
}
