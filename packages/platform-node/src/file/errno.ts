import { getSystemErrorName } from 'node:util';
import type { ErrorCode } from '@lamella/core';
import { LamellaError } from '@lamella/core';

interface Meaning {
  readonly code: ErrorCode;
  readonly problem: string;
  readonly hint: string;
}

const NO_ACCESS = 'Check the permissions of the file and its directories, and who runs this.';
const NO_FILE = 'Check the spelling; relative names start at the working directory.';

const MEANINGS: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['ENOENT', { code: 'NOT_FOUND', problem: 'no such file', hint: NO_FILE }],
  ['ENOTDIR', { code: 'NOT_FOUND', problem: 'part of the path is no directory', hint: NO_FILE }],
  [
    'ELOOP',
    {
      code: 'NOT_FOUND',
      problem: 'symbolic links of the path lead in a circle',
      hint: 'Repair the links (readlink shows where each leads).',
    },
  ],
  [
    'ENAMETOOLONG',
    {
      code: 'INVALID_ARGUMENT',
      problem: 'the path is too long',
      hint: 'Shorten it, for example by a relative path.',
    },
  ],
  ['EACCES', { code: 'PERMISSION_DENIED', problem: 'access is refused', hint: NO_ACCESS }],
  ['EPERM', { code: 'PERMISSION_DENIED', problem: 'the operation is refused', hint: NO_ACCESS }],
  [
    'EROFS',
    {
      code: 'PERMISSION_DENIED',
      problem: 'the file system is read-only',
      hint: 'Open without writing, or copy the file to a writable file system.',
    },
  ],
  [
    'ETXTBSY',
    {
      code: 'PERMISSION_DENIED',
      problem: 'the file is in use as a program or swap space',
      hint: 'Open without writing, or end that use.',
    },
  ],
  [
    'EISDIR',
    { code: 'NOT_A_FILE', problem: 'is a directory', hint: 'Name a file within the directory.' },
  ],
  [
    'EEXIST',
    {
      code: 'ALREADY_EXISTS',
      problem: 'the file exists',
      hint: 'Choose another name, remove the file, or allow overwriting.',
    },
  ],
  [
    'ENOSPC',
    {
      code: 'NO_SPACE',
      problem: 'no space left',
      hint: 'Free space on the file system, or use another one.',
    },
  ],
  [
    'EDQUOT',
    {
      code: 'NO_SPACE',
      problem: 'the disk quota is used up',
      hint: 'Free space of your own, or have the quota raised.',
    },
  ],
  [
    'EFBIG',
    {
      code: 'NO_SPACE',
      problem: 'the file would be larger than allowed',
      hint: 'Check the limit (ulimit -f) and the largest file that the file system can hold.',
    },
  ],
  [
    'EMFILE',
    {
      code: 'IO_ERROR',
      problem: 'this process has too many open files',
      hint: 'Close some, or raise the limit (ulimit -n).',
    },
  ],
  [
    'ENFILE',
    {
      code: 'IO_ERROR',
      problem: 'the system has too many open files',
      hint: 'Close some, or raise the limit (fs.file-max).',
    },
  ],
  [
    'EBUSY',
    {
      code: 'IO_ERROR',
      problem: 'the file or device is busy',
      hint: 'Unmount it, or end the program that uses it.',
    },
  ],
  [
    'ENXIO',
    {
      code: 'IO_ERROR',
      problem: 'there is no such device',
      hint: 'Check that the device is attached.',
    },
  ],
]);

const OTHER_HINT = 'Look into the system log, and check the device and the file system.';

/** What was being done when a system call failed. */
export interface FailureContext {
  /** The file, as the user named it. */
  readonly location: string;
  /** Fits the sentence "cannot …"; `read`, for example. */
  readonly action: string;
  /** Byte offset concerned, for reads and writes. */
  readonly offset?: number | undefined;
}

/** A failed system call that did not go through Node.js. */
export class NativeCallError extends Error {
  override readonly name = 'NativeCallError';
  /** Symbolic errno, `ENOSPC` for example. */
  readonly code: string;

  /**
   * @param call - the system call
   * @param errno - its error, a positive number
   */
  constructor(
    readonly call: string,
    readonly errno: number,
  ) {
    const code = errno > 0 ? getSystemErrorName(-errno) : 'UNKNOWN';
    super(`${code}: ${call}`);
    this.code = code;
  }
}

/** The symbolic errno of an error of Node.js or of {@link NativeCallError}, if it has one. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** The error to throw for a failed system call: what it means to the user and what can be done. */
export function fileError(error: unknown, context: FailureContext): LamellaError {
  if (error instanceof LamellaError) {
    return error;
  }
  const errno = errnoOf(error);
  const meaning = errno === undefined ? undefined : MEANINGS.get(errno);
  const reason = meaning?.problem ?? errno ?? (error instanceof Error ? error.message : 'unknown');
  return new LamellaError(meaning?.code ?? 'IO_ERROR', `cannot ${context.action}: ${reason}`, {
    location: context.location,
    offset: context.offset,
    hint: meaning?.hint ?? OTHER_HINT,
    cause: error,
  });
}
