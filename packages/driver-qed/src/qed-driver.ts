import {
  type BlockDriver,
  CLOCK,
  type Clock,
  type CreateOptions,
  LamellaError,
  LOGGER,
  type Logger,
  type Measurement,
  type MeasureRequest,
  MIN_CACHED_SLICES,
  type OpenOptions,
  type OptionSchema,
  parseOptions,
  type Storage,
  silentLogger,
  systemClock,
} from '@lamella/core';
import { inject, injectable } from 'tsyringe';
import type { AllocatorState } from './allocator.js';
import { CREATE_OPTIONS, createImage, planCreate } from './create.js';
import { SLICE_SIZE } from './geometry.js';
import { hasMagic, type QedHeader, readHeader } from './header.js';
import { encodeField, FEATURE, FIELD } from './header-fields.js';
import { measureImage } from './measure.js';
import { clearParkingLot, parkable } from './parking-lot.js';
import { QedImage } from './qed-image.js';
import { type ScanResult, scanImage } from './scan.js';

/** Bytes of metadata that are cached unless the caller says otherwise. */
const DEFAULT_CACHE_SIZE = 32 * 1024 * 1024;
/** Least of it. */
const MIN_CACHE_SIZE = MIN_CACHED_SLICES * SLICE_SIZE;

/** Open options. */
const OPEN_OPTIONS: OptionSchema = {
  reclaim: {
    type: 'boolean',
    description:
      'On a writable open, read all tables to find clusters that nothing uses, and use them first',
    default: false,
  },
};

/**
 * QEMU's enhanced disk format: two levels of tables and an append pointer, written to the
 * specification `docs/interop/qed_spec.rst`.
 */
@injectable()
export class QedDriver implements BlockDriver {
  readonly format = 'qed';
  readonly createOptions = CREATE_OPTIONS;
  readonly openOptions = OPEN_OPTIONS;
  readonly supportsBacking = true;
  readonly #logger: Logger;
  readonly #clock: Clock;

  /**
   * @param logger - is told when an image had to be repaired
   * @param clock - tells when an image has been idle for 5 seconds and is marked as clean
   */
  constructor(
    @inject(LOGGER, { isOptional: true }) logger?: Logger,
    @inject(CLOCK, { isOptional: true }) clock?: Clock,
  ) {
    this.#logger = logger ?? silentLogger;
    this.#clock = clock ?? systemClock;
  }

  probe(head: Uint8Array): number {
    return hasMagic(head) ? 100 : 0;
  }

  /**
   * Opens an image. One that was not closed cleanly is checked and repaired when `writable`; read-only
   * it opens as it is and says so in `options.need_check`. For a check it opens as it is, too, and takes
   * no writes until `Image.check` found its tables in order.
   *
   * @throws LamellaError `INVALID_ARGUMENT`, `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`,
   * `LIMIT_EXCEEDED`; `CORRUPT` for an unclean image that cannot be repaired without loss
   */
  async open(storage: Storage, options: OpenOptions): Promise<QedImage> {
    const { reclaim } = parseOptions(OPEN_OPTIONS, options.options ?? {}, 'opening a QED image');
    const header = await readHeader(storage);
    const { writable } = options;
    const unclean = (header.features & FEATURE.needCheck) !== 0;
    const unchecked = options.forCheck === true && unclean;
    const scanned = writable && options.forCheck !== true && (unclean || reclaim === true);
    const found = scanned ? await findDamage(storage, header, reclaim === true) : undefined;
    if (writable) {
      await options.beforeWriting?.({ backing: header.backing });
    }
    if (writable && header.hasAutoclear) {
      await storage.write(encodeField(0), FIELD.autoclearFeatures);
      await storage.flush();
    }
    const clean = { end: header.geometry.fileEnd(storage.size), free: [] };
    const allocation = found === undefined ? clean : await this.#repair(storage, header, found);
    const unparked = found?.corruptions === 0 && found.parked > 0;
    const cacheSize = Math.max(MIN_CACHE_SIZE, options.cacheSize ?? DEFAULT_CACHE_SIZE);
    const clock = this.#clock;
    return new QedImage({
      storage,
      header: unparked ? { ...header, features: header.features | FEATURE.needCheck } : header,
      writable,
      cacheSize,
      allocation: unchecked ? undefined : allocation,
      clock,
      forCheck: options.forCheck === true,
    });
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

  /**
   * Space for an image of these options. QEMU 7.2 can't tell; the numbers are those of the format: the
   * header, the L1 table, and the L2 tables and clusters that the data needs.
   *
   * @throws LamellaError as {@link QedDriver.validateCreate}
   */
  measure(request: MeasureRequest): Promise<Measurement> {
    return measureImage(request);
  }

  async #repair(
    storage: Storage,
    { geometry, imageSize, features }: QedHeader,
    found: ScanResult,
  ): Promise<AllocatorState> {
    if (found.corruptions === 0) {
      if (found.parked > 0) {
        await storage.write(encodeField(features | FEATURE.needCheck), FIELD.features);
        await storage.flush();
        await clearParkingLot(storage, geometry, imageSize);
      }
      // Nothing refers to what lies behind: space of writes that were never finished.
      return { end: found.end, free: found.leakedRuns, more: found.moreRuns };
    }
    const repaired = await scanImage(storage, geometry, { repair: true });
    await storage.flush();
    this.#logger.warn(
      `${storage.location}: was not closed cleanly; cleared ${repaired.fixed} table entries that pointed outside the file`,
    );
    // What a cleared table referred to may still be of use to somebody: nothing is cut off or reused.
    return { end: geometry.fileEnd(storage.size), free: [] };
  }
}

/** @throws LamellaError `CORRUPT` when not all of it can be repaired */
async function findDamage(
  storage: Storage,
  { geometry, imageSize }: QedHeader,
  reclaim: boolean,
): Promise<ScanResult> {
  // More than one close can park again would be parked and fetched for ever.
  const most = reclaim ? Number.POSITIVE_INFINITY : parkable(geometry);
  const unpark = { diskSize: imageSize, most };
  const found = await scanImage(storage, geometry, { repair: false, unpark });
  if (found.corruptions > found.repairable) {
    throw unrepairable(storage.location, found);
  }
  return found;
}

function unrepairable(location: string, { corruptions, repairable }: ScanResult): LamellaError {
  return new LamellaError(
    'CORRUPT',
    `${corruptions - repairable} of its clusters are in use twice, so it can't be written safely`,
    {
      location,
      hint: 'Open it read-only and copy what is good to a new image, or repair it with another program.',
    },
  );
}
