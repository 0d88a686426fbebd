import { isLamellaError, type LamellaError } from 'lamella';
import { strerrorOf } from './errno.js';
import { knownText } from './known-problems.js';

/** How a lock is called that another process is in the way of: see `LOCKED` errors. */
const LOCK = /no (shared )?'([a-z-]+)' lock/;

/**
 * What qemu-img says of an error of the library, without names and prefixes. Errors that it has no text of
 * its own for are told in ours.
 */
export function problemText(error: LamellaError): string {
  const system = strerrorOf(error);
  switch (error.code) {
    case 'NOT_FOUND':
      return system ?? 'No such file or directory';
    case 'PERMISSION_DENIED':
      return system ?? 'Permission denied';
    case 'NO_SPACE':
      return system ?? 'No space left on device';
    case 'IO_ERROR':
      return system ?? 'Input/output error';
    case 'NOT_A_FILE':
      return system ?? 'Is a directory';
    case 'LOCKED':
      return lockText(error.problem);
    case 'WRONG_PASSPHRASE':
      return 'Invalid password, cannot unlock any keyslot';
    case 'PASSPHRASE_REQUIRED':
      return "Parameter 'encrypt.key-secret' is required for cipher";
    default:
      return knownText(error.problem) ?? error.problem;
  }
}

function lockText(problem: string): string {
  const match = LOCK.exec(problem);
  return match === null
    ? 'Failed to lock byte 100'
    : `Failed to get ${match[1] ?? ''}"${match[2]?.replaceAll('-', ' ')}" lock`;
}

/** What to print for an error that nobody had a better text for. */
export function problemOfAny(error: unknown): string {
  if (isLamellaError(error)) {
    return `${error.location === undefined ? '' : `${error.location}: `}${problemText(error)}`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
