import {
  type BlockDriver,
  type OptionField,
  type OptionSchema,
  type OptionValue,
  PLACE_OF_BACKING,
  PLACE_OF_SIZE,
} from 'lamella';
import { Failure } from '../command-line/failure.js';
import { isFlag, isOn, parseOptionList } from '../command-line/option-list.js';
import { parseSizeText } from '../command-line/size.js';
import type { CommonSettings } from './common-options.js';

/** Options of files, which have no effect beyond the file systems that they were made for. */
const FILE_OPTIONS: OptionSchema = {
  nocow: { type: 'boolean', description: 'Turn off copy-on-write (valid only on btrfs)' },
  extent_size_hint: {
    type: 'size',
    description: 'Extent size hint for the image file, 0 to disable',
  },
};
const FILE_PREALLOCATION: OptionSchema = {
  preallocation: {
    type: 'string',
    description: 'Preallocation mode (allowed values: off, falloc, full)',
  },
};

/** Options that are the command line's own or the file's, and none of the driver's. */
const NOT_OF_THE_DRIVER = new Set([
  'size',
  'backing_file',
  'backing_fmt',
  'nocow',
  'extent_size_hint',
]);

/** Options of a new image, by name. */
export type OptionMap = Map<string, OptionValue>;

/** The options that a new image of a format has, in the order in which they are told. */
export function createSchema(driver: BlockDriver): OptionSchema {
  const own = driver.createOptions ?? {};
  return {
    ...('size' in own ? {} : PLACE_OF_SIZE),
    ...(driver.supportsBacking === true && !('backing_file' in own) ? PLACE_OF_BACKING : {}),
    ...own,
    ...('preallocation' in own ? {} : FILE_PREALLOCATION),
    ...FILE_OPTIONS,
  };
}

/** The values that a driver gets. */
export function driverOptions(
  { createOptions = {} }: BlockDriver,
  values: OptionMap,
): Record<string, OptionValue> {
  return Object.fromEntries(
    [...values].filter(
      ([name]) =>
        !NOT_OF_THE_DRIVER.has(name) &&
        name !== 'encrypt.key-secret' &&
        (name in createOptions || !(name in FILE_PREALLOCATION)),
    ),
  );
}

/**
 * Reads `-o` against a schema.
 *
 * @throws Failure with the text that follows the image's name
 */
export function readOptions(
  text: string | undefined,
  schema: OptionSchema,
  unknown: (name: string) => string = (name) => `Invalid parameter '${name}'`,
): OptionMap {
  const values: OptionMap = new Map();
  if (text === undefined) {
    return values;
  }
  for (const { name, value } of parseOptionList(text)) {
    const known = Object.hasOwn(schema, name) ? schema[name] : undefined;
    const negated =
      value === undefined && name.startsWith('no') ? schema[name.slice(2)] : undefined;
    if (known === undefined && negated?.type === 'boolean') {
      values.set(name.slice(2), false);
    } else if (known === undefined) {
      throw new Failure(unknown(name), { misspelt: { word: name, known: Object.keys(schema) } });
    } else {
      values.set(name, readValue(name, known, value ?? 'on'));
    }
  }
  return values;
}

function readValue(name: string, field: OptionField, text: string): OptionValue {
  switch (field.type) {
    case 'boolean':
      if (!isFlag(text)) {
        throw new Failure(`Parameter '${name}' expects 'on' or 'off'`);
      }
      return isOn(text);
    case 'number':
      if (!/^\s*[+-]?(0x[0-9a-f]+|\d+)$/i.test(text)) {
        throw new Failure(`Parameter '${name}' expects a number`);
      }
      return Number(text);
    case 'size': {
      const result = parseSizeText(text);
      if (result.bytes !== undefined) {
        return Number(result.bytes);
      }
      throw new Failure(
        result.problem !== 'syntax'
          ? `Value '${text}' is out of range for parameter '${name}'`
          : `Parameter '${name}' expects a non-negative number below 2^64\n` +
              'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n' +
              'and exabytes, respectively.',
      );
    }
    case 'string':
      return text;
  }
}

/** What `create` says before it begins: the options that were given and the defaults worth knowing. */
export function formattingLine(
  filename: string,
  format: string,
  schema: OptionSchema,
  values: OptionMap,
): string {
  const parts = Object.entries(schema).flatMap(([name, field]) => {
    const value = values.get(name) ?? field.default;
    return value === undefined ? [] : [`${name}=${quoted(shown(value))}`];
  });
  return `Formatting '${filename}', fmt=${format} ${parts.join(' ')}\n`;
}

function shown(value: OptionValue): string {
  if (typeof value === 'boolean') {
    return value ? 'on' : 'off';
  }
  // All digits, also of numbers beyond 2^53.
  return Number.isInteger(value) ? String(BigInt(value)) : String(value);
}

function quoted(text: string): string {
  return /^[A-Za-z0-9_./:-]*$/.test(text) && text !== '' ? text : escapeQuotes(text);
}

function escapeQuotes(text: string): string {
  return text.includes(',') ? text.replaceAll(',', ',,') : text;
}

const TYPE_NAMES: Readonly<Record<OptionField['type'], string>> = {
  boolean: '<bool (on/off)>',
  number: '<num>',
  size: '<size>',
  string: '<str>',
};

/** The lines of a list of options, in the order of their names. */
export function optionHelp(schema: OptionSchema): string {
  return Object.entries(schema)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { type, description }]) => {
      return `  ${`${name}=${TYPE_NAMES[type]}`.padEnd(22)} - ${description}\n`;
    })
    .join('');
}

/**
 * The help on a format's create options.
 *
 * @param file - whether a target file is named: its options are listed with the format's
 */
export function createHelp(driver: BlockDriver, file: boolean): string {
  const all = createSchema(driver);
  if (file) {
    return `Supported options:\n${optionHelp(all)}`;
  }
  const ofTheFile = new Set([
    ...Object.keys(FILE_OPTIONS),
    ...(driver.sharesStorage === true || !('preallocation' in (driver.createOptions ?? {}))
      ? ['preallocation']
      : []),
  ]);
  const own = Object.entries(all).filter(([name]) => !ofTheFile.has(name));
  return (
    `Supported ${driver.format} options:\n${optionHelp(Object.fromEntries(own))}\n` +
    'The protocol level may support further options.\n' +
    'Specify the target filename to include those options.\n'
  );
}

/**
 * Takes `-b` and `-F` in among create options.
 *
 * @throws Failure for a format without backing files
 */
export function setBacking(
  values: OptionMap,
  { backing, backingFormat }: Pick<CommonSettings, 'backing' | 'backingFormat'>,
  { format, supportsBacking }: BlockDriver,
): void {
  if (backing !== undefined) {
    if (supportsBacking !== true) {
      throw new Failure(`Backing file not supported for file format '${format}'`);
    }
    values.set('backing_file', backing);
  }
  if (backingFormat !== undefined) {
    if (supportsBacking !== true) {
      throw new Failure(`Backing file format not supported for file format '${format}'`);
    }
    values.set('backing_fmt', backingFormat);
  }
}
