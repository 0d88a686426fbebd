import { LamellaError } from '../errors/index.js';

/** A value of an option. Sizes are bytes. */
export type OptionValue = string | number | boolean;

/** Values of options by name. */
export type OptionValues = Readonly<Record<string, OptionValue | undefined>>;

/** One option that a driver understands. */
export interface OptionField {
  /** `size` is a number of bytes and also takes text with a suffix: `64k`, `2M`. */
  readonly type: 'boolean' | 'number' | 'size' | 'string';
  /** One line for help texts. */
  readonly description: string;
  /** Value when none is given. */
  readonly default?: OptionValue;
  /** The only values allowed, for a `string`. */
  readonly choices?: readonly string[];
  /**
   * Only a place in lists: the value reaches the driver in another way, and is refused among the options.
   * See {@link PLACE_OF_SIZE}.
   */
  readonly elsewhere?: boolean;
  /** The value appears in no message. */
  readonly secret?: boolean;
}

/** What options there are; feeds validation, `-o help` and the docs. */
export type OptionSchema = Readonly<Record<string, OptionField>>;

/**
 * Entries that a driver may put into `BlockDriver.createOptions` for values that come to it in other
 * ways, where they stand among its options in lists for people: size and backing file as fields of
 * `CreateOptions`, the secret as its passphrase. They are never among the options that a driver gets.
 */
export const PLACE_OF_SIZE: OptionSchema = {
  size: { type: 'size', description: 'Virtual disk size', elsewhere: true },
};

/** The same for the backing file; see {@link PLACE_OF_SIZE}. */
export const PLACE_OF_BACKING: OptionSchema = {
  backing_file: { type: 'string', description: 'File name of a base image', elsewhere: true },
  backing_fmt: { type: 'string', description: 'Image format of the base image', elsewhere: true },
};

/** The same for the passphrase; see {@link PLACE_OF_SIZE}. */
export const PLACE_OF_KEY_SECRET: OptionSchema = {
  'encrypt.key-secret': {
    type: 'string',
    description: 'ID of secret providing qcow AES key or LUKS passphrase',
    elsewhere: true,
  },
};

const SUFFIXES = 'bkmgtpe';

/**
 * Reads a size as qemu-img does: a number with an optional suffix `b`, `k`, `M`, `G`, `T`, `P` or `E`,
 * powers of 1024.
 *
 * @returns bytes, or undefined if the text is no size or is beyond 2^53 - 1
 */
function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([bkmgtpe]?)$/i.exec(text.trim());
  if (match === null) {
    return undefined;
  }
  const [, digits = '', suffix = ''] = match;
  const power = Math.max(0, SUFFIXES.indexOf(suffix.toLowerCase()));
  const bytes = Number(digits) * 1024 ** (suffix === '' ? 0 : power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/**
 * Checks values against a schema, converts texts (`"64k"`, `"on"`) and fills in defaults.
 *
 * @param context - what the options are for, for messages: `creating a qcow2 image`
 * @throws LamellaError `INVALID_ARGUMENT` for an unknown name or a value that does not fit
 */
export function parseOptions(
  schema: OptionSchema,
  values: OptionValues,
  context: string,
): Readonly<Record<string, OptionValue>> {
  const result: Record<string, OptionValue> = {};
  for (const [name, value] of Object.entries(values)) {
    const field = Object.hasOwn(schema, name) ? schema[name] : undefined;
    if (field === undefined || field.elsewhere === true) {
      const known = Object.keys(schema).filter((key) => schema[key]?.elsewhere !== true);
      throw new LamellaError('INVALID_ARGUMENT', `unknown option '${name}' for ${context}`, {
        hint: known.length === 0 ? 'There are no options.' : `Known options: ${known.join(', ')}.`,
      });
    }
    if (value !== undefined) {
      result[name] = convert(name, field, value, context);
    }
  }
  for (const [name, field] of Object.entries(schema)) {
    if (result[name] === undefined && field.default !== undefined) {
      result[name] = field.default;
    }
  }
  return result;
}

function convert(
  name: string,
  field: OptionField,
  value: OptionValue,
  context: string,
): OptionValue {
  const converted = CONVERTERS[field.type](value);
  if (
    converted === undefined ||
    (field.choices !== undefined && !field.choices.includes(String(converted)))
  ) {
    const expected = field.choices?.map((choice) => `'${choice}'`).join(' or ') ?? field.type;
    throw new LamellaError(
      'INVALID_ARGUMENT',
      `option '${name}' for ${context} cannot be ${field.secret === true ? 'that' : `'${value}'`}`,
      { hint: `Expected: ${expected}.` },
    );
  }
  return converted;
}

const CONVERTERS: Readonly<
  Record<OptionField['type'], (value: OptionValue) => OptionValue | undefined>
> = {
  boolean: (value) => {
    if (typeof value === 'boolean') {
      return value;
    }
    return value === 'on' ? true : value === 'off' ? false : undefined;
  },
  number: (value) => {
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
    return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
  },
  size: (value) => {
    const bytes = typeof value === 'string' ? parseSize(value) : value;
    return typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0
      ? bytes
      : undefined;
  },
  string: (value) => (typeof value === 'string' ? value : undefined),
};
