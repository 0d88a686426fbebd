import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type ErrorCode, isLamellaError, type LamellaError } from 'lamella';
import { Failure } from '../../command-line/failure.js';
import { nearest } from './nearest.js';

/** Most words that are listed. */
const MAX_LISTED = 24;

/** Hints that tell programmers what to do; they name parts of the library. */
const FOR_PROGRAMMERS =
  /`|\{|\blamella\.|\bDisk\.|\b(references|writable|unsafe|format|dataFile|forceShare|metadataOnly|maxDepth|maxBytes|forCheck|CRYPTO_PLATFORM): ?|\b(maxDepth|forCheck|forceShare|CRYPTO_PLATFORM)\b/;

/** What to do on the command line, where the library only knows what to do in a program. */
const BY_CODE: ReadonlyMap<ErrorCode, (error: LamellaError) => string | undefined> = new Map([
  ['NOT_FOUND', notFound],
  [
    'LOCKED',
    () =>
      'End the program that uses the image. To read it all the same, add -U: what is read may be ' +
      'in the middle of a change.',
  ],
  [
    'PASSPHRASE_REQUIRED',
    (error) =>
      `Give its passphrase: --object secret,id=key,file=PATH --image-opts ` +
      `driver=qcow2,encrypt.key-secret=key,file.filename=${error.location ?? 'IMAGE'}`,
  ],
  [
    'WRONG_PASSPHRASE',
    () => 'Look at the secret byte for byte: a line feed at the end of its file belongs to it.',
  ],
  ['UNKNOWN_FORMAT', () => 'A driver of another package is named with --driver PACKAGE.'],
  ['WRONG_FORMAT', () => 'Leave the format out, and it is found by the content.'],
  [
    'CHAIN_LOOP',
    () => "Look at the names with 'lamella info IMAGE', and put one right: 'lamella rebase -u'.",
  ],
  [
    'CORRUPT',
    () =>
      "Look for damage with 'lamella check IMAGE'; 'lamella check -r all IMAGE' repairs what it can.",
  ],
]);

/** One sentence or two on what to do about an error; undefined where nothing is known. */
export function hintFor(error: unknown): string | undefined {
  const misspelt = error instanceof Failure ? error.misspelt : undefined;
  if (misspelt !== undefined) {
    return misspeltHint(misspelt.word, misspelt.known);
  }
  if (error instanceof Failure && error.hint !== undefined) {
    return error.hint;
  }
  const known = libraryError(error);
  if (known === undefined) {
    return undefined;
  }
  const own = BY_CODE.get(known.code)?.(known);
  return own ?? (FOR_PROGRAMMERS.test(known.hint ?? '') ? undefined : known.hint);
}

function misspeltHint(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  if (meant !== undefined) {
    return `Did you mean '${meant}'?`;
  }
  if (known.length === 0) {
    return 'There are none.';
  }
  const listed = known.slice(0, MAX_LISTED).join(', ');
  return `There ${known.length === 1 ? 'is' : 'are'}: ${listed}${known.length > MAX_LISTED ? ', …' : ''}.`;
}

/** The error of the library behind a failure. */
export function libraryError(error: unknown): LamellaError | undefined {
  let current = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth += 1) {
    if (isLamellaError(current)) {
      return current;
    }
    current = current.cause;
  }
  return undefined;
}

function notFound(error: LamellaError): string | undefined {
  const { location, chain, problem } = error;
  if (/\bdata file\b/.test(problem)) {
    return (
      'Put the file back, or say where it is: --image-opts ' +
      `driver=qcow2,data-file.filename=FILE,file.filename=${location ?? 'IMAGE'}`
    );
  }
  if (isLamellaError(error.cause, 'NOT_FOUND') || chain !== undefined) {
    const image = location ?? 'IMAGE';
    return (
      `Put the file back, or name another one: lamella rebase -u -b FILE -F FORMAT ${image}. ` +
      `All layers are shown by: lamella info --chain ${image}`
    );
  }
  return location === undefined ? undefined : similarFile(location);
}

function similarFile(location: string): string | undefined {
  const directory = dirname(location);
  try {
    const meant = nearest(basename(location), readdirSync(directory));
    return meant === undefined
      ? undefined
      : `Did you mean '${location.includes('/') ? join(directory, meant) : meant}'?`;
  } catch {
    return `There is no directory '${directory}'.`;
  }
}
