import type { OptionValue, OptionValues, Passphrase, PassphraseSource } from 'lamella';
import { Failure } from '../command-line/failure.js';
import { parseOptionList } from '../command-line/option-list.js';
import type { Secrets } from '../command-line/secrets.js';

/** An image as the command line names it. */
export interface ImageArgument {
  /** The words, for messages. */
  readonly text: string;
  /** `--image-opts`: the text is a list of options and no file name. */
  readonly imageOpts?: boolean | undefined;
  /** Format given with `-f` or the like. */
  readonly format?: string | undefined;
}

/** The name taken apart. */
export interface OpenableName {
  readonly location: string;
  readonly format: string | undefined;
  readonly options: OptionValues | undefined;
  readonly passphrase: Passphrase | undefined;
  /** Name of the secret that the passphrase came from. */
  readonly secretId?: string | undefined;
  /** Where the image's data file is, whatever the image says. */
  readonly dataFile?: string | undefined;
  /** Passphrases of the images below. */
  readonly passphrases?: PassphraseSource | undefined;
}

/**
 * Keys of `json:` names and `--image-opts` that set up QEMU's block layer and change no content; they are
 * accepted and do nothing here.
 */
const WITHOUT_EFFECT =
  /^(file\.)?(read-only|auto-read-only|node-name|discard|detect-zeroes|force-share|cache\..*|locking|aio|drop-cache|check-cache-dropped|x-.*)$|^(lazy-refcounts|pass-discard-.*|discard-no-unref|overlap-check.*|l2-cache-.*|refcount-cache-size|cache-size|cache-clean-interval|encrypt\.format)$/;

/**
 * Finds out which file and format an argument means.
 *
 * @throws Failure with the text that belongs behind `Could not open 'NAME': `
 */
export function readImageName(argument: ImageArgument, secrets: Secrets): OpenableName {
  const { text, format } = argument;
  if (argument.imageOpts === true) {
    return fromOptions(parseImageOpts(text), format, secrets);
  }
  if (text.startsWith('json:')) {
    return fromOptions(parseJsonName(text.slice('json:'.length)), format, secrets);
  }
  return { location: text, format, options: undefined, passphrase: undefined };
}

function fromOptions(
  keys: Map<string, OptionValue>,
  givenFormat: string | undefined,
  secrets: Secrets,
): OpenableName {
  const take = (key: string): OptionValue | undefined => {
    const value = keys.get(key);
    keys.delete(key);
    return value;
  };
  const driver = take('driver');
  const fileDriver = take('file.driver');
  const filename = takeFilter(keys, fileDriver) ?? take('file.filename') ?? take('filename');
  const secret = take('encrypt.key-secret');
  const dataFile = take('data-file.filename');
  take('data-file.driver');
  const passphrases = takeBackingSecrets(keys, secrets);
  const protocol = driver === 'file' || driver === 'host_device';
  if (filename === undefined) {
    const named = keys.get('file');
    if (named !== undefined) {
      throw new Failure(`Cannot find device='' nor node-name='${named}'`);
    }
    if (protocol) {
      throw new Failure(`The '${driver}' block driver requires a file name`);
    }
    throw new Failure(
      driver === undefined
        ? 'Must specify either driver or file'
        : 'A block device must be specified for "file"',
    );
  }
  const options: Record<string, OptionValue> = {};
  for (const [key, value] of keys) {
    if (!WITHOUT_EFFECT.test(key)) {
      options[key] = value;
    }
  }
  return {
    location: isFile(fileDriver) ? plainLocation(String(filename)) : String(filename),
    format: protocol ? 'raw' : driver === undefined ? givenFormat : String(driver),
    options: Object.keys(options).length === 0 ? undefined : options,
    passphrase: secret === undefined ? undefined : secrets.get(String(secret)),
    secretId: secret === undefined ? undefined : String(secret),
    dataFile: dataFile === undefined ? undefined : plainLocation(String(dataFile)),
    passphrases,
  };
}

const BACKING_SECRET = /^((?:backing\.)+)encrypt\.key-secret$/;

/** The secrets of the images below, one `backing.` for each layer between. */
function takeBackingSecrets(
  keys: Map<string, OptionValue>,
  secrets: Secrets,
): PassphraseSource | undefined {
  const byDepth = new Map<number, Passphrase>();
  for (const [key, value] of keys) {
    const match = BACKING_SECRET.exec(key);
    if (match?.[1] !== undefined) {
      byDepth.set(match[1].length / 'backing.'.length, secretOfBacking(String(value), secrets));
      keys.delete(key);
    } else if (/^(backing\.)+encrypt\.format$/.test(key)) {
      keys.delete(key);
    }
  }
  return byDepth.size === 0 ? undefined : (_location, depth) => byDepth.get(depth);
}

function secretOfBacking(id: string, secrets: Secrets): Passphrase {
  try {
    return secrets.get(id);
  } catch (error) {
    throw error instanceof Failure
      ? new Failure(`Could not open backing file: ${error.message}`)
      : error;
  }
}

function isFile(driver: OptionValue | undefined): boolean {
  return driver === undefined || driver === 'file' || driver === 'host_device';
}

/** The location of a storage that is no file: all that is said of it. */
function takeFilter(
  keys: Map<string, OptionValue>,
  driver: OptionValue | undefined,
): string | undefined {
  if (isFile(driver)) {
    return undefined;
  }
  if (driver !== 'blkdebug') {
    throw new Failure(`Unknown driver '${driver}'`);
  }
  const options: Record<string, OptionValue> = { driver };
  for (const [key, value] of keys) {
    if (key.startsWith('file.')) {
      options[key.slice('file.'.length)] = value;
      keys.delete(key);
    }
  }
  return `json:${JSON.stringify(options)}`;
}

/** A file name within options is a path, whatever it looks like. */
function plainLocation(filename: string): string {
  return /^[a-z][a-z0-9+.-]+:/i.test(filename) ? `./${filename}` : filename;
}

function parseImageOpts(text: string): Map<string, OptionValue> {
  const keys = new Map<string, OptionValue>();
  for (const [index, { name, value }] of parseOptionList(text).entries()) {
    if (value === undefined && index === 0) {
      keys.set('file', name);
    } else {
      keys.set(name, value ?? 'on');
    }
  }
  return keys;
}

function parseJsonName(text: string): Map<string, OptionValue> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    const cut = opensMoreThanItCloses(text);
    throw new Failure(
      `Could not parse the JSON options: JSON parse error, ${cut ? 'premature EOI' : 'invalid keyword'}`,
    );
  }
  const keys = new Map<string, OptionValue>();
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Failure('Invalid JSON object given');
  }
  flatten(parsed, '', keys);
  return keys;
}

function opensMoreThanItCloses(text: string): boolean {
  const count = (pattern: RegExp): number => text.match(pattern)?.length ?? 0;
  return count(/[{[]/g) > count(/[}\]]/g);
}

/** Deepest nesting of a `json:` name; QEMU takes more, but nothing needs it. */
const MAX_DEPTH = 16;

function flatten(value: object, prefix: string, keys: Map<string, OptionValue>, depth = 0): void {
  if (depth > MAX_DEPTH) {
    throw new Failure('JSON nesting too deep');
  }
  for (const [name, item] of Object.entries(value)) {
    const key = `${prefix}${name}`;
    if (typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean') {
      keys.set(key, item);
    } else if (typeof item === 'object' && item !== null) {
      flatten(item, `${key}.`, keys, depth + 1);
    }
  }
}
