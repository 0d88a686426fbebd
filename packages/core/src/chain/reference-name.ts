import type { OptionValue, OptionValues } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import { parseJsonText } from './json-text.js';
import { type NameKeys, plainPath, takeKeysBelow, takeStorage } from './name-keys.js';

/** What a name says of an image: its file, its format, options to open it with. */
export interface ImageName {
  /** Location of the file, possibly relative to the image that names it. */
  readonly location: string;
  /** Format, where the name says. */
  readonly format?: string | undefined;
  /** Open options of the format, where the name gives any. */
  readonly options?: OptionValues | undefined;
  /** Location of the image's data file, where the name gives one. */
  readonly dataFile?: string | undefined;
  /** What the name says of the image below, where it says something. */
  readonly backing?: BackingName | undefined;
}

/**
 * What a name says of the image below the one that it names, in place of what that image says; what it leaves
 * open is as the image says. `'none'` leaves the image below out.
 */
export type BackingName = 'none' | LowerImageName;

/** See {@link BackingName}. */
export interface LowerImageName extends Omit<ImageName, 'location'> {
  /** Location of the file, where the name says. */
  readonly location?: string | undefined;
}

const JSON_PREFIX = 'json:';
/** What a storage over another one calls it: such a name is a storage, not an image in one. */
const CHILD_OF_FILTER = 'image.';
/** Longest `json:` name taken; an image's header holds at most 1023 bytes. */
const MAX_JSON = 64 * 1024;
/** Deepest nesting of a `json:` name. */
const MAX_DEPTH = 16;
/** Keys that say nothing Lamella acts upon and that change no content. */
const HARMLESS = new Set([
  'read-only',
  'auto-read-only',
  'cache',
  'discard',
  'node-name',
  'detect-zeroes',
  'force-share',
]);

/**
 * Takes a name apart. Plain paths and `scheme:` names are locations; `json:` names
 * (`json:{"driver":"qcow2","file":{"driver":"file","filename":"a.img"}}`, nested or with dotted keys)
 * give format, file, options, and what is below. A filter in the place of `file` (`"file":{"driver":"blkdebug",
 * "image":…}`, at any depth) makes the location a `json:` name of its own, for the storage driver of that filter.
 *
 * @param namedBy - what gives the name, for messages
 * @throws LamellaError `INVALID_ARGUMENT`, `UNSUPPORTED`
 */
export function parseImageName(name: string, namedBy: string): ImageName {
  if (!name.startsWith(JSON_PREFIX)) {
    return { location: name };
  }
  const keys = nameKeys(name, namedBy);
  const { location, ...rest } = readNameKeys(keys, namedBy);
  if (location === undefined) {
    throw unsupported('a json: name without a file name', namedBy);
  }
  return { location, ...rest };
}

/**
 * What a `json:` name or location says, with a dotted key for each value. `"backing": null` is an empty text.
 *
 * @param namedBy - what gives the name, for messages; the name itself by default
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`
 */
export function nameKeys(name: string, namedBy = name): NameKeys {
  const keys: NameKeys = new Map();
  flatten(parseJson(name.slice(JSON_PREFIX.length), namedBy), '', keys, namedBy, 0);
  return keys;
}

/**
 * What keys, those of one image, say of it: as {@link parseImageName} of a `json:` name that has them.
 *
 * @param keys - taken out
 * @param namedBy - what gives the name, for messages
 * @throws LamellaError `INVALID_ARGUMENT`, `UNSUPPORTED`
 */
export function readNameKeys(keys: NameKeys, namedBy: string): LowerImageName {
  const backing = takeBacking(keys, namedBy);
  if ([...keys.keys()].some((key) => key.startsWith(CHILD_OF_FILTER))) {
    return { location: takeStorage(keys), format: 'raw' };
  }
  const driver = takeText(keys, 'driver', namedBy);
  const location = takeFile(keys, namedBy);
  const dataFile = takeDataFile(keys, namedBy);
  const options: Record<string, OptionValue> = {};
  for (const [key, value] of keys) {
    if (HARMLESS.has(key.split('.').at(-1) ?? '') || HARMLESS.has(key.split('.')[0] ?? '')) {
      continue;
    }
    if (key.includes('.')) {
      throw unsupported(`'${key}' in a json: name`, namedBy);
    }
    options[key] = value;
  }
  return {
    location,
    format: driver === 'file' ? 'raw' : driver,
    options: Object.keys(options).length === 0 ? undefined : options,
    ...(dataFile === undefined ? {} : { dataFile: plainPath(dataFile) }),
    ...(backing === undefined ? {} : { backing }),
  };
}

function takeBacking(keys: NameKeys, namedBy: string): BackingName | undefined {
  const whole = keys.get('backing');
  keys.delete('backing');
  const below = takeKeysBelow(keys, 'backing.');
  if (whole !== undefined && (whole !== '' || below.size > 0)) {
    throw unsupported(`a backing file by a node's name ('${whole}')`, namedBy);
  }
  return whole === '' ? 'none' : below.size === 0 ? undefined : readNameKeys(below, namedBy);
}

/** The file of a `json:` name as a location. */
function takeFile(keys: NameKeys, namedBy: string): string | undefined {
  const file = takeKeysBelow(keys, 'file.');
  for (const key of ['driver', 'filename']) {
    if (file.has(key) && typeof file.get(key) !== 'string') {
      throw notAText(`file.${key}`, namedBy);
    }
  }
  const location = takeStorage(file);
  for (const [key, value] of file) {
    keys.set(`file.${key}`, value);
  }
  const plain = takeText(keys, 'filename', namedBy);
  return location ?? (plain === undefined ? undefined : plainPath(plain));
}

/** The data file of `data-file`: a file by itself, or one in a raw image. */
function takeDataFile(keys: NameKeys, namedBy: string): string | undefined {
  const driver = takeText(keys, 'data-file.driver', namedBy);
  const fileDriver = takeText(keys, 'data-file.file.driver', namedBy);
  const filename =
    takeText(keys, 'data-file.file.filename', namedBy) ??
    takeText(keys, 'data-file.filename', namedBy);
  for (const name of [driver === 'raw' ? undefined : driver, fileDriver]) {
    if (name !== undefined && name !== 'file') {
      throw unsupported(`a data file over '${name}'`, namedBy);
    }
  }
  return filename;
}

function parseJson(text: string, namedBy: string): unknown {
  if (text.length > MAX_JSON) {
    throw new LamellaError('LIMIT_EXCEEDED', 'a json: name is too long', { location: namedBy });
  }
  try {
    return parseJsonText(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LamellaError('INVALID_ARGUMENT', `a json: name is not valid: ${why}`, {
      location: namedBy,
      hint: 'It must be one object, such as json:{"driver":"qcow2","file":{"filename":"a.img"}}.',
      cause,
    });
  }
}

function flatten(
  value: unknown,
  prefix: string,
  into: NameKeys,
  namedBy: string,
  depth: number,
): void {
  const nested = depth > 0 && Array.isArray(value);
  if (
    typeof value !== 'object' ||
    value === null ||
    (Array.isArray(value) && !nested) ||
    depth > MAX_DEPTH
  ) {
    throw new LamellaError('INVALID_ARGUMENT', 'a json: name must be an object', {
      location: namedBy,
    });
  }
  for (const [key, item] of Object.entries(value)) {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    if (typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean') {
      into.set(path, item);
    } else if (item === null && key === 'backing') {
      into.set(path, '');
    } else {
      flatten(item, path, into, namedBy, depth + 1);
    }
  }
}

function takeText(keys: NameKeys, key: string, namedBy: string): string | undefined {
  const value = keys.get(key);
  keys.delete(key);
  if (value !== undefined && typeof value !== 'string') {
    throw notAText(key, namedBy);
  }
  return value;
}

function notAText(key: string, namedBy: string): LamellaError {
  return new LamellaError('INVALID_ARGUMENT', `'${key}' in a json: name must be a text`, {
    location: namedBy,
  });
}

function unsupported(what: string, namedBy: string): LamellaError {
  return new LamellaError('UNSUPPORTED', `${what} is not supported`, {
    location: namedBy,
    hint: 'Name the file directly and give its format.',
  });
}
