import { isLamellaError, type LamellaError } from 'lamella';
import { problemText } from './problem.js';

/**
 * What follows `Could not open 'NAME': ` for an image that does not open.
 *
 * @param location - the image's file, as far as it is known
 * @param writable - whether it was to be written to
 */
export function openFailureText(error: unknown, location: string, writable = false): string {
  if (!isLamellaError(error)) {
    throw error;
  }
  const levels = levelsBelow(error, location);
  if (writable && levels === 0 && error.problem === 'is a directory') {
    return `Could not open '${fileOf(error)}': Is a directory`;
  }
  return `${'Could not open backing file: '.repeat(levels)}${ownText(underneath(error))}`;
}

/** What is wrong with a name is told by the name's own error, not by what the image that has it makes of it. */
function underneath(error: LamellaError): LamellaError {
  return isLamellaError(error, 'INVALID_ARGUMENT') &&
    isLamellaError(error.cause, 'INVALID_ARGUMENT')
    ? underneath(error.cause)
    : error;
}

function ownText(error: LamellaError): string {
  const file = fileOf(error);
  switch (error.code) {
    case 'NOT_FOUND':
    case 'PERMISSION_DENIED':
      return `Could not open '${file}': ${problemText(error)}`;
    case 'UNKNOWN_SCHEME':
      return file.startsWith('json:')
        ? problemText(error).replace('protocol', 'driver')
        : problemText(error);
    case 'NOT_A_FILE':
      return `'file' driver requires '${file}' to be a regular file`;
    case 'LOCKED':
      return `${problemText(error)}\nIs another process using the image [${file}]?`;
    default:
      return problemText(error);
  }
}

/** The file that is at fault: for a missing backing file, not the image that names it. */
function fileOf(error: LamellaError): string {
  return isLamellaError(error.cause, 'NOT_FOUND')
    ? fileOf(error.cause)
    : shownLocation(error.location ?? '');
}

/** How many backing files down the error is. */
function levelsBelow(error: LamellaError, location: string): number {
  const { chain } = error;
  if (/\bdata file\b/.test(error.problem)) {
    return chain?.length ?? 0;
  }
  const ofBacking =
    isLamellaError(error.cause, 'NOT_FOUND') || isLamellaError(error, 'INVALID_ARGUMENT');
  if (ofBacking && chain !== undefined) {
    return chain.length;
  }
  return error.location === undefined || error.location === location ? 0 : 1;
}

/** A location as it was given: `./` before what looks like a protocol is ours. */
export function shownLocation(location: string): string {
  return location.replace(/^\.\/(?=[a-z][a-z0-9+.-]+:)/i, '');
}
