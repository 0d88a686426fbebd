import type { InjectionToken } from 'tsyringe';
import type { Storage } from '../storage/index.js';
import type { DRIVER_API_VERSION } from './assert-driver.js';
import type { Image } from './image.js';
import type { LongOperation } from './long-operation.js';
import type { Measurement, MeasureRequest } from './measure.js';
import type { OptionSchema, OptionValue, OptionValues } from './options.js';
import type { Reference, References } from './references.js';

/** How an image is opened. */
export interface OpenOptions {
  /** Whether writes will be made. The storage is writable then, too. */
  readonly writable: boolean;
  /** Most bytes of memory for cached metadata; 32 MiB by default. */
  readonly cacheSize?: number | undefined;
  /** Values of {@link BlockDriver.openOptions}, not yet checked. */
  readonly options?: OptionValues | undefined;
  /** Key of an encrypted image. Never logged, never part of a message. */
  readonly passphrase?: string | Uint8Array | undefined;
  /**
   * Only what is known of the image is wanted, no data of the guest: an encrypted image opens without a
   * passphrase then, and reading from it fails with `PASSPHRASE_REQUIRED`. Never with `writable`.
   */
  readonly metadataOnly?: boolean | undefined;
  /** Open for a check: tolerate damage that `Image.check` can report or mend. */
  readonly forCheck?: boolean | undefined;
  /**
   * Set when nobody named the format and the content decided: tells what format a head of up to 4096
   * bytes would be taken for. A driver without a magic number of its own refuses writes with it
   * (`FORMAT_CHANGE`) that would make the next guess come out differently.
   */
  readonly recognise?: ((head: Uint8Array) => string) | undefined;
  /**
   * Opens whatever else the image refers to; given by the resolver. A driver that writes to the storage
   * while it opens an image (to repair it, to clear bits) awaits this first, so that an open that fails
   * because of another file writes nothing.
   *
   * @param references - what the header names
   */
  readonly beforeWriting?: ((references: References) => Promise<void>) | undefined;
  /**
   * Opens the image's data file, through the reference policy; given by the resolver, which also closes it.
   * A driver calls it before {@link OpenOptions.beforeWriting}; more than once is no error.
   *
   * @param reference - what the image names; undefined when it has a data file but names none
   * @returns undefined when the policy leaves the file out: the image then opens for reading, but data in
   * it can't be read
   * @throws LamellaError `NOT_FOUND`, `REFERENCE_DENIED`, `CHAIN_LOOP`, `LOCKED`; `INVALID_ARGUMENT` when
   * nobody names the file
   */
  readonly openDataFile?:
    | ((reference: Reference | undefined) => Promise<Storage | undefined>)
    | undefined;
}

/** What image to make. */
export interface CreateOptions extends LongOperation {
  /** Size of the guest's disk in bytes. */
  readonly size: number;
  /** Backing file to name in the image; the text is stored as given. */
  readonly backing?: Reference | undefined;
  /** Values of {@link BlockDriver.createOptions}, checked and completed with defaults. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Key of an image to be encrypted. */
  readonly passphrase?: string | Uint8Array | undefined;
  /**
   * Makes the data file that the image is to name, or opens it as it is; given by whoever makes the image,
   * who also closes it, and removes it if making the image fails and it was made for it.
   *
   * @param keep - the file is there already, and its content is to stay
   */
  readonly openDataFile?: ((reference: Reference, keep: boolean) => Promise<Storage>) | undefined;
}

/**
 * An image format. Complete with `format` and `open`; everything else is optional. Register the class
 * under {@link BLOCK_DRIVER}; see `@lamella/driver-raw` for the smallest one.
 */
export interface BlockDriver {
  /** Name as users write it: `qcow2`, `qed`, `raw`. */
  readonly format: string;

  /**
   * Version of these interfaces that the driver was written for: {@link DRIVER_API_VERSION} as a literal, so that
   * it stays what it was when the driver was compiled, and compiling against another version is an error. A
   * Lamella of another version refuses the driver with `DRIVER_INCOMPATIBLE`. A driver without it is taken as it
   * is, unless it comes from a package that asks for another version of `@lamella/core`.
   */
  readonly apiVersion?: typeof DRIVER_API_VERSION;

  /**
   * How surely a head belongs to this format.
   *
   * @param head - the first bytes of the storage, 4096 or fewer if it is shorter
   * @param location - name of the storage
   * @returns 0 (no) to 100 (certain). Only raw answers 1, to take what nobody else wants
   */
  probe?(head: Uint8Array, location: string): number;

  /**
   * Opens an image. Validates everything that is read into memory before memory is taken for it,
   * and writes nothing unless `options.writable`.
   *
   * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`,
   * `LIMIT_EXCEEDED`, `CORRUPT`
   */
  open(storage: Storage, options: OpenOptions): Promise<Image>;

  /**
   * Writes a new, empty image and makes it durable. Without this method images of the format can't be
   * made.
   *
   * @param storage - empty and writable
   * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `UNSUPPORTED`
   */
  create?(storage: Storage, options: CreateOptions): Promise<void>;

  /**
   * Checks create options without touching anything, so that an existing file survives a mistake.
   *
   * @throws LamellaError as {@link BlockDriver.create}
   */
  validateCreate?(options: CreateOptions): void;

  /** Options of {@link BlockDriver.create}. */
  readonly createOptions?: OptionSchema;

  /** Options of {@link BlockDriver.open}. */
  readonly openOptions?: OptionSchema;

  /** Options of `Image.amend`. */
  readonly amendOptions?: OptionSchema;

  /**
   * How much space an image would need.
   *
   * @throws LamellaError as {@link BlockDriver.validateCreate}
   */
  measure?(request: MeasureRequest): Promise<Measurement>;

  /**
   * Whether others may write to the storage while an image is open in it: all that they change is the
   * guest's data. False by default, as for every format with metadata.
   */
  readonly sharesStorage?: boolean;

  /** Whether {@link CreateOptions.backing} is understood. */
  readonly supportsBacking?: boolean;

  /** Whether images can hold compressed clusters, by some of the options at least. */
  readonly supportsCompression?: boolean;

  /** Whether images can hold dirty bitmaps, by some of the options at least. */
  readonly supportsBitmaps?: boolean;
}

/** Multi-injection token: every registered {@link BlockDriver}. */
export const BLOCK_DRIVER: InjectionToken<BlockDriver> = Symbol.for('lamella.BlockDriver');
