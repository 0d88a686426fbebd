import {
  isLamellaError,
  LamellaError,
  type NameKeys,
  nameKeys,
  type Storage,
  type StorageDriver,
  type StorageOpenOptions,
  takeKeysBelow,
  takeStorage,
} from '@lamella/core';
import { injectable } from 'tsyringe';
import { parseConfig } from './config.js';
import { FaultStorage } from './fault-storage.js';
import { type RuleText, readRules } from './read-rules.js';

const PREFIX = 'blkdebug:';
const JSON_PREFIX = 'json:';
/** Longest configuration file taken, in bytes. */
const MAX_CONFIG = 1024 * 1024;
const RULE = /^(inject-error|set-state)\.(\d+)\.(.+)$/;

/** What a location asks for. */
interface Parsed {
  /** Configuration file; none for an empty text. */
  readonly config: string;
  /** Location of what lies below. */
  readonly image: string;
  readonly rules: readonly RuleText[];
}

/**
 * The storage filter `blkdebug`: requests on what lies below fail or stop as rules say, to see how a format, or
 * a program, takes it. `blkdebug:CONFIG:IMAGE`, with a configuration file or none, or a `json:` name with
 * `config`, `image`, `inject-error` and `set-state`.
 */
@injectable()
export class BlkdebugDriver implements StorageDriver {
  readonly scheme = 'blkdebug';

  /**
   * @throws LamellaError `INVALID_ARGUMENT` for wrong rules, `UNSUPPORTED` for what this filter can't do, and
   * what opening the configuration file and the storage below throws
   */
  async open(location: string, options: StorageOpenOptions): Promise<Storage> {
    const { openBelow } = options;
    if (openBelow === undefined) {
      throw new LamellaError('INVALID_ARGUMENT', 'blkdebug has nothing below it', {
        location,
        hint: 'Open it by the storage registry.',
      });
    }
    const { config, image, rules } = location.startsWith(JSON_PREFIX)
      ? parseOptions(location)
      : parseName(location);
    const sections = config === '' ? [] : await readConfig(config, openBelow, location);
    const all = readRules([...sections, ...rules], location);
    return new FaultStorage(await openBelow(image), all);
  }

  /** Names below a filter are taken as they are. */
  resolve(reference: string): string {
    return reference;
  }

  async realLocation(location: string): Promise<string> {
    return location;
  }
}

function parseName(location: string): Parsed {
  const rest = location.slice(PREFIX.length);
  const colon = rest.indexOf(':');
  if (colon < 0) {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      'blkdebug requires both config file and image path',
      {
        location,
      },
    );
  }
  return { config: rest.slice(0, colon), image: rest.slice(colon + 1), rules: [] };
}

function parseOptions(location: string): Parsed {
  const values = nameKeys(location);
  values.delete('driver');
  const config = values.get('config');
  values.delete('config');
  const image = takeImage(values, location);
  const rules = new Map<string, { name: string; values: Map<string, string> }>();
  for (const [key, value] of values) {
    const [, name, index, option] = RULE.exec(key) ?? [];
    if (name === undefined || option === undefined) {
      throw new LamellaError(
        'INVALID_ARGUMENT',
        `Block protocol 'blkdebug' doesn't support the option '${key}'`,
        { location },
      );
    }
    const id = `${name}.${index}`;
    const rule = rules.get(id) ?? { name, values: new Map<string, string>() };
    rule.values.set(option, String(value));
    rules.set(id, rule);
  }
  return { config: String(config ?? ''), image, rules: [...rules.values()] };
}

/** What lies below: a file by its name, or another filter by its options. */
function takeImage(values: NameKeys, location: string): string {
  const node = values.get('image');
  if (node !== undefined) {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      `Cannot find device='${node}' nor node-name='${node}'`,
      { location },
    );
  }
  const image = takeStorage(takeKeysBelow(values, 'image.'));
  if (image === undefined) {
    throw new LamellaError('INVALID_ARGUMENT', 'A block device must be specified for "image"', {
      location,
    });
  }
  return image;
}

async function readConfig(
  config: string,
  openBelow: NonNullable<StorageOpenOptions['openBelow']>,
  location: string,
): Promise<readonly RuleText[]> {
  const storage = await openConfig(config, openBelow, location);
  try {
    if (storage.size > MAX_CONFIG) {
      throw new LamellaError('LIMIT_EXCEEDED', 'the configuration file is too long', {
        location: config,
        hint: `It may have ${MAX_CONFIG} bytes.`,
      });
    }
    const bytes = new Uint8Array(storage.size);
    await storage.read(bytes, 0);
    return parseConfig(new TextDecoder().decode(bytes), location);
  } finally {
    await storage.close();
  }
}

async function openConfig(
  config: string,
  openBelow: NonNullable<StorageOpenOptions['openBelow']>,
  location: string,
): Promise<Storage> {
  try {
    return await openBelow(config, true);
  } catch (cause) {
    const why = isLamellaError(cause, 'NOT_FOUND')
      ? 'No such file or directory'
      : cause instanceof Error
        ? cause.message
        : String(cause);
    throw new LamellaError('INVALID_ARGUMENT', `Could not read blkdebug config file: ${why}`, {
      location,
      cause,
    });
  }
}
