import type { OptionValue, OptionValues } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';

/** A name of an image, taken apart: which file, which format, which options to open it with. */
export interface ImageName {
  /** Location of the file, possibly relative to the image that names it. */
  readonly location: string;
  /** Format, where the name says. */
  readonly format?: string | undefined;
  /** Open options of the format, where the name gives any. */
  readonly options?: OptionValues | undefined;
  /** Location of the image's data file, where the name gives one. */
  readonly dataFile?: string | undefined;
}

const JSON_PREFIX = 'json:';
/** A file name is a path, whatever it looks like. */
const LOOKS_LIKE_SCHEME = /^[a-z][a-z0-9+.-]+:/i;
/** What a storage over another one calls it: such a name is a storage, not an image in one. */
const CHILD_OF_FILTER = 'image';
/** Longest `json:` name taken; an image's header holds at most 1023 bytes. */
const MAX_JSON = 64 * 1024;
/** Keys that say nothing Lamella acts upon and that change no content. */
const HARMLESS = new Set(['read-only', 'auto-read-only', 'cache', 'discard', 'node-name']);

/**
 * Takes a name apart. Plain paths and `scheme:` names are locations; `json:` names
 * (`json:{"driver":"qcow2","file":{"driver":"file","filename":"a.img"}}`, nested or with dotted keys)
 * give format, file and options.
 *
 * @param namedBy - what gives the name, for messages
 * @throws LamellaError `INVALID_ARGUMENT`, `UNSUPPORTED`
 */
export function parseImageName(name: string, namedBy: string): ImageName {
  return name.startsWith(JSON_PREFIX)
    ? parseJsonName(name.slice(JSON_PREFIX.length), namedBy)
    : { location: name };
}

function parseJsonName(text: string, namedBy: string): ImageName {
  const keys = new Map<string, OptionValue>();
  flatten(parseJson(text, namedBy), '', keys, namedBy, 0);
  if ([...keys.keys()].some((key) => key.split('.')[0] === CHILD_OF_FILTER)) {
    return { location: jsonLocation(Object.fromEntries(keys)), format: 'raw' };
  }
  const driver = takeText(keys, 'driver', namedBy);
  const location = storageLocation(keys, namedBy);
  const dataFile = takeDataFile(keys, namedBy);
  if (location === undefined) {
    throw unsupported('a json: name without a file name', namedBy);
  }
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
  };
}

/**
 * The file of a `json:` name as a location: a path, or for any other storage `json:` with what the name says
 * of it. Takes the keys.
 */
function storageLocation(keys: Map<string, OptionValue>, namedBy: string): string | undefined {
  const driver = takeText(keys, 'file.driver', namedBy);
  if (driver === undefined || driver === 'file') {
    const name = takeText(keys, 'file.filename', namedBy) ?? takeText(keys, 'filename', namedBy);
    return name === undefined ? undefined : plainPath(name);
  }
  const options: Record<string, OptionValue> = { driver };
  for (const [key, value] of keys) {
    if (key.startsWith('file.')) {
      options[key.slice('file.'.length)] = value;
      keys.delete(key);
    }
  }
  return jsonLocation(options);
}

function jsonLocation(options: OptionValues): string {
  return `${JSON_PREFIX}${JSON.stringify(options)}`;
}

/** A location that is this path, even if the path looks like another kind of location. */
export function plainPath(path: string): string {
  return LOOKS_LIKE_SCHEME.test(path) ? `./${path}` : path;
}

/** The data file of `data-file`: a file by itself, or one in a raw image. */
function takeDataFile(keys: Map<string, OptionValue>, namedBy: string): string | undefined {
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
    return JSON.parse(text);
  } catch (cause) {
    throw new LamellaError('INVALID_ARGUMENT', 'a json: name is not valid JSON', {
      location: namedBy,
      hint: 'It must be one object, such as json:{"driver":"qcow2","file":{"filename":"a.img"}}.',
      cause,
    });
  }
}

function flatten(
  value: unknown,
  prefix: string,
  into: Map<string, OptionValue>,
  namedBy: string,
  depth: number,
): void {
  const nested = depth > 0 && Array.isArray(value);
  if (
    typeof value !== 'object' ||
    value === null ||
    (Array.isArray(value) && !nested) ||
    depth > 8
  ) {
    throw new LamellaError('INVALID_ARGUMENT', 'a json: name must be an object', {
      location: namedBy,
    });
  }
  for (const [key, item] of Object.entries(value)) {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    if (typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean') {
      into.set(path, item);
    } else {
      flatten(item, path, into, namedBy, depth + 1);
    }
  }
}

function takeText(
  keys: Map<string, OptionValue>,
  key: string,
  namedBy: string,
): string | undefined {
  const value = keys.get(key);
  keys.delete(key);
  if (value !== undefined && typeof value !== 'string') {
    throw new LamellaError('INVALID_ARGUMENT', `'${key}' in a json: name must be a text`, {
      location: namedBy,
    });
  }
  return value;
}

function unsupported(what: string, namedBy: string): LamellaError {
  return new LamellaError('UNSUPPORTED', `${what} is not supported`, {
    location: namedBy,
    hint: 'Name the file directly and give its format.',
  });
}
