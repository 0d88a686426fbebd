import type { OptionValues, SnapshotKey } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import { CACHE_MODES, type CacheMode } from '../storage/index.js';
import type { Passphrase, PassphraseSource } from './passphrases.js';
import type { ReferencePolicy } from './reference-policy.js';

/** Most layers of a chain, unless the caller says otherwise. */
export const DEFAULT_MAX_DEPTH = 256;

/** How a chain is opened. */
export interface ChainOptions {
  /** Format of the top image; found by its content if not given. */
  readonly format?: string | undefined;
  /** Open the top image for writing. False by default. */
  readonly writable?: boolean | undefined;
  /** How many layers from the top on are opened for writing, if `writable`: 1 by default, the others never. */
  readonly writableLayers?: number | undefined;
  /** Open the top image as of one of its snapshots; read-only. */
  readonly snapshot?: SnapshotKey | undefined;
  /** Which files images may name; `'follow'` by default. */
  readonly references?: ReferencePolicy | undefined;
  /** Most layers; {@link DEFAULT_MAX_DEPTH} by default. */
  readonly maxDepth?: number | undefined;
  /** Most bytes of cached metadata for each layer; 32 MiB by default. */
  readonly cacheSize?: number | undefined;
  /**
   * Where the top image's data file is, whatever the image says. As everything that the caller names, it
   * does not pass the reference policy. For an image with a data file only.
   */
  readonly dataFile?: string | undefined;
  /**
   * A location beside which data files with relative names are, for every layer; by default each is beside
   * the image that names it. QEMU looks in its working directory.
   */
  readonly dataFilesBeside?: string | undefined;
  /** Options of the top image's driver. */
  readonly options?: OptionValues | undefined;
  /** Passphrase of the top image, if it is encrypted. */
  readonly passphrase?: Passphrase | undefined;
  /** Asked for the passphrase of each encrypted image that has none yet: backing files, above all. */
  readonly passphrases?: PassphraseSource | undefined;
  /**
   * Open even though somebody else is writing. What is read may then be in the middle of a change. Not
   * together with `writable`. False by default.
   */
  readonly forceShare?: boolean | undefined;
  /**
   * Only what is known of the images is wanted, no data: encrypted ones open without a passphrase, and
   * reading from them fails with `PASSPHRASE_REQUIRED`. Not together with `writable`. False by default.
   */
  readonly metadataOnly?: boolean | undefined;
  /** How reads and writes reach the device, for every layer; `'writeback'` by default. */
  readonly cache?: CacheMode | undefined;
}

/**
 * Checks options that must fit together.
 *
 * @param location - what is to be opened, for messages
 * @throws LamellaError `INVALID_ARGUMENT`
 */
export function assertConsistent(options: ChainOptions, location: string): void {
  const { forceShare, writable, snapshot, cache = 'writeback' } = options;
  if (!CACHE_MODES.includes(cache)) {
    throw new LamellaError('INVALID_ARGUMENT', `there is no cache mode '${cache}'`, {
      location,
      hint: `Choose one of ${CACHE_MODES.join(', ')}.`,
    });
  }
  if (options.metadataOnly === true && writable === true) {
    throw new LamellaError('INVALID_ARGUMENT', 'metadataOnly is for reading only', {
      location,
      hint: 'Leave out metadataOnly or writable.',
    });
  }
  if (snapshot !== undefined && writable === true) {
    throw new LamellaError('INVALID_ARGUMENT', 'a snapshot cannot be written to', {
      location,
      hint: 'Leave out writable; to write on from the snapshot, apply it, or put an overlay on it.',
    });
  }
  if (forceShare === true && writable === true) {
    throw new LamellaError('INVALID_ARGUMENT', 'forceShare is for reading only', {
      location,
      hint: 'Leave out forceShare, and end whatever else is using the image; or leave out writable.',
    });
  }
}
