import {
  type BlockDriver,
  type CacheMode,
  ChainResolver,
  closeLayers,
  Disk,
  DriverRegistry,
  type ImageName,
  isLamellaError,
  type Layer,
  type Passphrase,
  type ReferencePolicy,
} from 'lamella';
import { causeOf, Failure } from '../command-line/failure.js';
import type { Session } from '../command-line/session.js';
import { openFailureText } from '../messages/open-failure.js';
import { type ImageArgument, type OpenableName, readImageName } from './image-name.js';
import { SharingConflict, sharingOf } from './sharing.js';

/** Any name in the working directory: QEMU looks there for data files, wherever the image is. */
export const WORKING_DIRECTORY = 'image';

/** How a command opens an image. */
export interface OpenImageOptions {
  /** For writing; only reading by default. */
  readonly writable?: boolean | undefined;
  /** How many layers from the top are opened for writing, if `writable`; 1 by default. */
  readonly writableLayers?: number | undefined;
  /** `-U`. */
  readonly forceShare?: boolean | undefined;
  /** `-t`, `-T`. */
  readonly cache?: CacheMode | undefined;
  /** Only the image itself, nothing that it names. */
  readonly alone?: boolean | undefined;
  /** Which of the files that images name are opened; all by default. */
  readonly references?: ReferencePolicy | undefined;
  /** Only what is known of the image is wanted, no data: needs no passphrase. */
  readonly metadataOnly?: boolean | undefined;
  /** Format, location and options are known already; used instead of the argument's. */
  readonly passphrase?: Passphrase | undefined;
  /** Exit code of a failure; 1 by default. */
  readonly exitCode?: number | undefined;
  /** What a message begins with; `Could not open` by default. */
  readonly failure?: string | undefined;
}

/** An image that is open. */
export interface OpenImage {
  /** The words by which the user named it. */
  readonly text: string;
  /** The name taken apart. */
  readonly name: OpenableName;
  readonly disk: Disk;
  readonly layers: readonly [Layer, ...Layer[]];
}

/**
 * Opens an image as `qemu-img` does and warns where it does.
 *
 * @throws Failure `Could not open 'NAME': …`
 */
export async function openImage(
  session: Session,
  argument: ImageArgument,
  options: OpenImageOptions = {},
): Promise<OpenImage> {
  const { text } = argument;
  const { exitCode = 1, failure = 'Could not open' } = options;
  let name: OpenableName | undefined;
  try {
    name = readImageName(argument, session.secrets);
    const forceShare = sharingOf(options, name);
    warnOf(session, name);
    if (options.alone === true) {
      assertNothingBelow(name);
    }
    const chain = await session.lamella.container.resolve(ChainResolver).open(imageOf(name), {
      passphrase: name.passphrase ?? options.passphrase,
      passphrases: name.passphrases,
      dataFilesBeside: WORKING_DIRECTORY,
      writable: options.writable,
      writableLayers: options.writableLayers,
      forceShare,
      cache: options.cache,
      topOnly: options.alone,
      references: options.references,
      metadataOnly: options.metadataOnly,
    });
    await assertFits(name, chain.layers);
    const [top] = chain.layers;
    if (options.writable === true && name.format === undefined) {
      warnIfGuessed(session, text, top);
    }
    return { text, name, disk: new Disk(chain.layers, [], chain.missing), layers: chain.layers };
  } catch (error) {
    throw openFailure(error, text, name, exitCode, failure, options.writable);
  }
}

/** The image that a name means, as the library takes it. */
export function imageOf({ location, format, options, dataFile, backing }: OpenableName): ImageName {
  return { location, format, options, dataFile, backing };
}

/**
 * Checks what could not be checked before the image was open, and closes it if that is wrong.
 *
 * @throws Failure
 */
export async function assertFits(
  name: OpenableName,
  layers: readonly [Layer, ...Layer[]],
): Promise<void> {
  try {
    name.assertFits?.(layers[0].image.clusterSize);
  } catch (error) {
    await closeLayers(layers);
    throw error;
  }
}

/** Prints what is to be said of a name. */
export function warnOf(session: Session, { warnings = [] }: OpenableName): void {
  for (const warning of warnings) {
    session.error(`${session.name}: warning: ${warning}\n`);
  }
}

/** Who leaves the images below out takes nothing that is said of them, except that there is none. */
function assertNothingBelow({ backingKey, format }: OpenableName): void {
  if (backingKey !== undefined) {
    throw new Failure(
      `Block format '${format}' does not support the option 'backing.${backingKey}'`,
    );
  }
}

/** The failure to report when an image does not open. */
export function openFailure(
  error: unknown,
  text: string,
  name: OpenableName | undefined,
  exitCode = 1,
  failure = 'Could not open',
  writable = false,
): unknown {
  const problem = openProblem(error, name, writable);
  return problem === undefined
    ? error
    : new Failure(`${failure} '${text}': ${problem}`, {
        exitCode,
        cause: causeOf(error),
        misspelt: error instanceof Failure ? error.misspelt : undefined,
      });
}

/** What went wrong, as it stands behind the image's name; undefined for a fault of the program. */
export function openProblem(
  error: unknown,
  name: OpenableName | undefined,
  writable = false,
): string | undefined {
  if (error instanceof SharingConflict) {
    return undefined;
  }
  if (error instanceof Failure) {
    return error.message;
  }
  if (!isLamellaError(error)) {
    return undefined;
  }
  return openFailureText(error, name?.location ?? '', writable);
}

/** Warns of a format that was found by content and could be any. */
export function warnIfGuessed(session: Session, text: string, { format }: Layer): void {
  if (driverOf(session, format).sharesStorage === true) {
    session.error(
      `WARNING: Image format was not specified for '${text}' and probing guessed ${format}.\n` +
        '         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n' +
        "         Specify the 'raw' format explicitly to remove the restrictions.\n",
    );
  }
}

/**
 * The driver of a format.
 *
 * @throws Failure for an unknown one, with the text of `unknown`
 */
export function driverOf(
  session: Session,
  format: string,
  unknown: (format: string) => string = (name) => `Unknown file format '${name}'`,
): BlockDriver {
  const registry = session.lamella.container.resolve(DriverRegistry);
  if (!registry.formats.includes(format)) {
    throw new Failure(unknown(format), {
      misspelt: { word: format, known: registry.formats },
    });
  }
  return registry.get(format);
}
