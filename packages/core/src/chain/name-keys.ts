import type { OptionValue } from '../driver/index.js';

/** What a `json:` name or a list of options says, with a dotted key for each value: `file.filename`. */
export type NameKeys = Map<string, OptionValue>;

/** A file name is a path, whatever it looks like. */
const LOOKS_LIKE_SCHEME = /^[a-z][a-z0-9+.-]+:/i;
/** Keys of every storage that change nothing of what it holds. */
const OF_EVERY_STORAGE =
  /^(read-only|auto-read-only|node-name|discard|detect-zeroes|force-share|cache\..*)$/;

/** A location that is this path, even if the path looks like another kind of location. */
export function plainPath(path: string): string {
  return LOOKS_LIKE_SCHEME.test(path) ? `./${path}` : path;
}

/**
 * Takes out the keys that begin with a prefix.
 *
 * @returns those keys, without the prefix
 */
export function takeKeysBelow(keys: NameKeys, prefix: string): NameKeys {
  const below: NameKeys = new Map();
  for (const [key, value] of keys) {
    if (key.startsWith(prefix)) {
      below.set(key.slice(prefix.length), value);
      keys.delete(key);
    }
  }
  return below;
}

/**
 * Takes out the keys that say which storage is meant, `driver` and what belongs to it: a file, whose location is
 * its path, or a storage of any other driver, whose location is a `json:` name with all that is said of it. A
 * `raw` in between that shows the whole of what is below it is passed over.
 *
 * @param keys - of the storage alone, without a prefix; what is left over means nothing to a file
 * @returns undefined when no file name is among them
 */
export function takeStorage(keys: NameKeys): string | undefined {
  const driver = keys.get('driver');
  if (driver === undefined || driver === 'file' || driver === 'host_device') {
    const filename = keys.get('filename');
    keys.delete('driver');
    keys.delete('filename');
    return filename === undefined ? undefined : plainPath(String(filename));
  }
  if (driver === 'raw' && !keys.has('offset') && !keys.has('size')) {
    keys.delete('driver');
    return takeStorage(takeKeysBelow(keys, 'file.'));
  }
  const said = [...keys].filter(([key]) => !OF_EVERY_STORAGE.test(key));
  keys.clear();
  return `json:${JSON.stringify(Object.fromEntries(said))}`;
}
