import {
  type BackingName,
  type JsonNameValue,
  JsonTextError,
  type NameKeys,
  type OptionValue,
  type OptionValues,
  type Passphrase,
  type PassphraseSource,
  parseJsonText,
  plainPath,
  readNameKeys,
  takeKeysBelow,
  takeStorage,
} from 'lamella';
import { Failure } from '../command-line/failure.js';
import { isOn, parseOptionList } from '../command-line/option-list.js';
import type { Secrets } from '../command-line/secrets.js';
import { takeRuntimeOptions } from './runtime-options.js';

/** An image as the command line names it. */
export interface ImageArgument {
  /** The words, for messages. */
  readonly text: string;
  /** `--image-opts`: the text is a list of options and no file name. */
  readonly imageOpts?: boolean | undefined;
  /** Format given with `-f` or the like. */
  readonly format?: string | undefined;
  /** A list of options beside a file name; they go before those in a `json:` name. */
  readonly options?: string | undefined;
}

/** The name taken apart. */
export interface OpenableName {
  readonly location: string;
  /** What is said of the image below. */
  readonly backing?: BackingName | undefined;
  /** The first key that says something of it. */
  readonly backingKey?: string | undefined;
  /** Set where no image is meant, but a file as it is: how the driver is called. */
  readonly protocol?: string | undefined;
  /** What to warn of. */
  readonly warnings?: readonly string[] | undefined;
  readonly format: string | undefined;
  readonly options: OptionValues | undefined;
  readonly passphrase: Passphrase | undefined;
  /** Name of the secret that the passphrase came from. */
  readonly secretId?: string | undefined;
  /** Where the image's data file is, whatever the image says. */
  readonly dataFile?: string | undefined;
  /** Passphrases of the images below. */
  readonly passphrases?: PassphraseSource | undefined;
  /** Whether it says that the image is shared with whoever uses it, or that it is not. */
  readonly forceShare?: boolean | undefined;
  /** Checks what depends on the size of a cluster, in bytes. */
  readonly assertFits?: ((clusterSize: number) => void) | undefined;
}

const JSON_PREFIX = 'json:';
/** Stands for `null`. */
const NULL = false;
const NOTHING_SAID = { options: undefined, passphrase: undefined };

/**
 * Finds out which file and format an argument means.
 *
 * @throws Failure with the text that belongs behind `Could not open 'NAME': `
 */
export function readImageName(argument: ImageArgument, secrets: Secrets): OpenableName {
  const { text, format } = argument;
  if (argument.imageOpts === true) {
    const deprecated: string[] = [];
    const name = fromOptions(parseImageOpts(text, deprecated), format, secrets);
    return { ...name, warnings: [...deprecated, ...(name.warnings ?? [])] };
  }
  if (argument.options !== undefined) {
    return fromPathAndOptions(text, argument.options, format, secrets);
  }
  if (text.startsWith(JSON_PREFIX)) {
    return fromOptions(parseJsonName(text), format, secrets);
  }
  return { ...NOTHING_SAID, location: locationOf(text), format };
}

function locationOf(path: string): string {
  return path.startsWith('file:') ? plainPath(path.slice('file:'.length)) : path;
}

function fromPathAndOptions(
  path: string,
  options: string,
  format: string | undefined,
  secrets: Secrets,
): OpenableName {
  const deprecated: string[] = [];
  const keys = parseImageOpts(options, deprecated);
  const named = path.startsWith(JSON_PREFIX) ? parseJsonName(path) : undefined;
  const place = isProtocol(format ?? keys.get('driver')) ? 'filename' : 'file.filename';
  for (const [key, value] of named ?? []) {
    keys.set(key, keys.get(key) ?? value);
  }
  if (keys.has('file')) {
    throw new Failure(
      'Cannot reference an existing block device with additional options or a new filename',
    );
  }
  if (named === undefined) {
    if (keys.has(place) || !isProtocol(keys.get('file.driver') ?? 'file')) {
      throw new Failure("Can't specify 'file' and 'filename' options at the same time");
    }
    keys.set(place, path);
  }
  const name = fromOptions(keys, format, secrets);
  return {
    ...name,
    ...(named === undefined ? { location: locationOf(path) } : {}),
    warnings: [...deprecated, ...(name.warnings ?? [])],
  };
}

function isProtocol(driver: OptionValue | undefined): driver is 'file' | 'host_device' {
  return driver === 'file' || driver === 'host_device';
}

function fromOptions(
  keys: NameKeys,
  givenFormat: string | undefined,
  secrets: Secrets,
): OpenableName {
  const shares = keys.get('force-share');
  const take = (key: string): OptionValue | undefined => {
    const value = keys.get(key);
    keys.delete(key);
    return value;
  };
  const whole = keys.get('file');
  if (whole !== undefined) {
    throw new Failure(`Cannot find device='${whole}' nor node-name='${whole}'`);
  }
  const named = take('driver');
  const driver = givenFormat ?? (typeof named === 'string' ? named : undefined);
  if (driver === '') {
    throw new Failure("Unknown driver ''");
  }
  const protocol = isProtocol(driver);
  const secret = take('encrypt.key-secret');
  const passphrases = takeBackingSecrets(keys, secrets);
  if ([...keys.keys()].some((key) => key.startsWith('image.'))) {
    return { ...NOTHING_SAID, location: filterLocation(driver, keys), format: 'raw' };
  }
  const assertFits = takeRuntimeOptions(keys, driver);
  const location = protocol ? takeFilename(keys, driver) : takeFile(keys, driver);
  const below = takeBelow(keys);
  const dataFile = take('data-file.filename') ?? take('data-file.file.filename');
  take('data-file.driver');
  take('data-file.file.driver');
  return {
    location,
    format: protocol ? 'raw' : driver,
    options: keys.size === 0 ? undefined : Object.fromEntries(keys),
    passphrase: secret === undefined ? undefined : secrets.get(String(secret)),
    secretId: secret === undefined ? undefined : String(secret),
    dataFile: dataFile === undefined ? undefined : plainPath(String(dataFile)),
    passphrases,
    assertFits,
    forceShare: shares === undefined ? undefined : isOn(String(shares)),
    ...below,
    ...(protocol ? { protocol: driver } : {}),
  };
}

/** A filter by itself, with an image below that may be of any format. */
function filterLocation(driver: string | undefined, keys: NameKeys): string {
  const storage = takeStorage(
    new Map([...(driver === undefined ? [] : [['driver', driver] as const]), ...keys]),
  );
  if (driver === undefined || storage === undefined) {
    throw new Failure('Must specify either driver or file');
  }
  return storage;
}

function takeFilename(keys: NameKeys, driver: string): string {
  const filename = keys.get('filename');
  keys.delete('filename');
  if (typeof filename !== 'string' || filename === '') {
    throw new Failure(`The '${driver}' block driver requires a file name`);
  }
  return plainPath(filename);
}

function takeFile(keys: NameKeys, driver: string | undefined): string {
  const file = takeKeysBelow(keys, 'file.');
  const fileDriver = file.get('driver');
  const storage = takeStorage(file);
  const [unknown] = file.keys();
  if (unknown !== undefined) {
    throw new Failure(`Block protocol 'file' doesn't support the option '${unknown}'`);
  }
  if (storage === undefined || typeof storage !== 'string') {
    throw new Failure(
      driver === undefined && fileDriver === undefined
        ? 'Must specify either driver or file'
        : 'A block device must be specified for "file"',
    );
  }
  if (storage === '') {
    throw new Failure("The 'file' block driver requires a file name");
  }
  return storage;
}

/** What is said of the image below. */
function takeBelow(keys: NameKeys): Pick<OpenableName, 'backing' | 'backingKey' | 'warnings'> {
  const whole = keys.get('backing');
  keys.delete('backing');
  const below = takeKeysBelow(keys, 'backing.');
  if (whole === '' || whole === NULL) {
    return { backing: 'none', warnings: whole === '' ? [EMPTY_BACKING] : [] };
  }
  if (whole !== undefined) {
    throw new Failure(
      `Could not open backing file: Cannot find device='${whole}' nor node-name='${whole}'`,
    );
  }
  const [backingKey] = below.keys();
  if (backingKey === undefined) {
    return {};
  }
  const driver = below.get('driver');
  takeRuntimeOptions(below, typeof driver === 'string' ? driver : undefined);
  return { backing: readNameKeys(below, ''), backingKey };
}

const EMPTY_BACKING = 'Use of "backing": "" is deprecated; use "backing": null instead';

const BACKING_SECRET = /^((?:backing\.)+)encrypt\.key-secret$/;

/** The secrets of the images below, one `backing.` for each layer between. */
function takeBackingSecrets(keys: NameKeys, secrets: Secrets): PassphraseSource | undefined {
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

/** @param deprecated - takes warnings of flags without a value */
function parseImageOpts(text: string, deprecated: string[]): NameKeys {
  const keys: NameKeys = new Map();
  for (const [index, { name, value }] of parseOptionList(text).entries()) {
    if (value !== undefined) {
      keys.set(name, value);
    } else if (index === 0 && name !== '') {
      keys.set('file', name);
    } else if (name !== '') {
      const [flag, state] = name.startsWith('no') ? [name.slice(2), 'off'] : [name, 'on'];
      keys.set(flag, state);
      deprecated.push(
        `short-form boolean option '${name}' deprecated\nPlease use ${flag}=${state} instead`,
      );
    }
  }
  return keys;
}

function parseJsonName(name: string): NameKeys {
  const keys: NameKeys = new Map();
  const parsed = parse(name.slice(JSON_PREFIX.length));
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Failure('Invalid JSON object given');
  }
  flatten(parsed, '', keys);
  return keys;
}

function parse(text: string): JsonNameValue {
  try {
    return parseJsonText(text);
  } catch (error) {
    throw error instanceof JsonTextError
      ? new Failure(`Could not parse the JSON options: ${error.message}`)
      : error;
  }
}

function flatten(value: object, prefix: string, keys: NameKeys): void {
  for (const [name, item] of Object.entries(value)) {
    const key = `${prefix}${name}`;
    if (typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean') {
      keys.set(key, item);
    } else if (typeof item === 'object' && item !== null) {
      flatten(item, `${key}.`, keys);
    } else if (name === 'backing') {
      keys.set(key, prefix === '' ? NULL : '');
    }
  }
}
