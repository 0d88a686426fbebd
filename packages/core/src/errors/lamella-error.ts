/**
 * What went wrong, as a stable word that programs may switch on. Messages may change between
 * releases; these do not.
 */
export type ErrorCode =
  /** An argument is of the wrong type or makes no sense. */
  | 'INVALID_ARGUMENT'
  /** An offset or length lies outside the disk. */
  | 'OUT_OF_RANGE'
  /** The file, or the backing file, does not exist. */
  | 'NOT_FOUND'
  /** The operating system refuses access. */
  | 'PERMISSION_DENIED'
  /** The location is a directory, a pipe, a socket or a character device. */
  | 'NOT_A_FILE'
  /** Somebody else uses the file in a way that does not go with what is asked for. */
  | 'LOCKED'
  /** A file would be overwritten. */
  | 'ALREADY_EXISTS'
  /** The file system, the device or a memory limit is full. */
  | 'NO_SPACE'
  /** The operating system reports a failed read, write or flush. */
  | 'IO_ERROR'
  /** A write to something opened read-only. */
  | 'READ_ONLY'
  /** Use after close. */
  | 'CLOSED'
  /** An `AbortSignal` fired. */
  | 'ABORTED'
  /** No registered driver has that name, or none recognises the content. */
  | 'UNKNOWN_FORMAT'
  /** No registered storage driver serves that scheme. */
  | 'UNKNOWN_SCHEME'
  /** The content is not of the format that was asked for. */
  | 'WRONG_FORMAT'
  /** The file ends before something that must be there. */
  | 'TRUNCATED'
  /** A header field has a value that the format does not allow. */
  | 'INVALID_HEADER'
  /** A write would turn a raw image, whose format was only guessed, into an image of another format. */
  | 'FORMAT_CHANGE'
  /** Metadata contradicts itself or the specification. */
  | 'CORRUPT'
  /** The image uses a feature that this driver does not have. */
  | 'UNSUPPORTED'
  /** A value is beyond what this library handles, though the format may allow it. */
  | 'LIMIT_EXCEEDED'
  /** Images refer to each other in a circle. */
  | 'CHAIN_LOOP'
  /** The backing chain has more layers than allowed. */
  | 'CHAIN_TOO_DEEP'
  /** The reference policy forbids a file that an image names. */
  | 'REFERENCE_DENIED'
  /** The image is encrypted and no passphrase was given. */
  | 'PASSPHRASE_REQUIRED'
  /** No key of an encrypted image opens with the passphrase that was given. */
  | 'WRONG_PASSPHRASE'
  /** Two drivers claim one name. */
  | 'DUPLICATE_DRIVER'
  /** A driver broke its contract: it failed with an error of another kind, or gave something senseless. */
  | 'DRIVER_FAILED'
  /** A package that should give drivers is not installed, or exports none. */
  | 'DRIVER_NOT_FOUND'
  /** A driver was built for a release of `@lamella/core` whose interfaces differ from these. */
  | 'DRIVER_INCOMPATIBLE';

/** Where an error happened and what can be done about it. */
export interface ErrorDetails {
  /** The image or file concerned, as the user would name it. */
  readonly location?: string | undefined;
  /** Byte offset within the file (metadata errors) or within the disk (range errors). */
  readonly offset?: number | undefined;
  /** One sentence that tells the user what to do. */
  readonly hint?: string | undefined;
  /** The error underneath, if there is one. */
  readonly cause?: unknown;
  /** Locations of the backing chain as far as it was opened, top first. */
  readonly chain?: readonly string[] | undefined;
}

/** The same in every copy of this module: a driver may have been installed with a copy of its own. */
const BRAND = Symbol.for('lamella.LamellaError');

/**
 * The one error class of Lamella, also for `instanceof` when several copies of this package are loaded. Its message reads as a sentence: where, what, and what to do;
 * the parts are there as fields as well.
 */
export class LamellaError extends Error {
  /** Whether a value is an error of any copy of this class. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && BRAND in value;
  }

  /** Always `LamellaError`. */
  override readonly name = 'LamellaError';
  /** Stable word for the kind of failure. */
  readonly code: ErrorCode;
  /** The problem alone, without location and hint. */
  readonly problem: string;
  /** The image or file concerned. */
  readonly location: string | undefined;
  /** Byte offset within the file or disk, where one is known. */
  readonly offset: number | undefined;
  /** What the user can do. */
  readonly hint: string | undefined;
  /** Backing chain as far as it was opened, top first. */
  readonly chain: readonly string[] | undefined;

  /**
   * @param code - stable word for the kind of failure
   * @param problem - what happened, a clause without a full stop
   * @param details - where, and what to do
   */
  constructor(code: ErrorCode, problem: string, details: ErrorDetails = {}) {
    super(
      sentence(problem, details),
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    Object.defineProperty(this, BRAND, { value: true });
    this.code = code;
    this.problem = problem;
    this.location = details.location;
    this.offset = details.offset;
    this.hint = details.hint;
    this.chain = details.chain;
  }
}

function sentence(problem: string, details: ErrorDetails): string {
  const where = details.location === undefined ? '' : `${details.location}: `;
  const at = details.offset === undefined ? '' : ` (at byte ${details.offset})`;
  const chain =
    details.chain === undefined || details.chain.length < 2
      ? ''
      : `; chain so far: ${details.chain.join(' -> ')}`;
  const hint = details.hint === undefined ? '' : `. ${details.hint}`;
  return `${where}${problem}${at}${chain}${hint}`;
}

/** Whether a value is a {@link LamellaError}, optionally of one kind. */
export function isLamellaError(value: unknown, code?: ErrorCode): value is LamellaError {
  return value instanceof LamellaError && (code === undefined || value.code === code);
}
