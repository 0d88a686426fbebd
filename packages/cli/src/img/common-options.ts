import { CACHE_MODES, type CacheMode } from 'lamella';
import type { CommandOption } from '../command-line/command.js';
import { Failure, wrongUsage } from '../command-line/failure.js';
import { isJoinable } from '../command-line/option-list.js';
import { MAX_SIZE, parseSizeText } from '../command-line/size.js';

const HOW_SIZES_ARE_GIVEN =
  'A size is a number of bytes, or one with k, M, G, T, P or E behind it: 10G.';

/** Settings that many commands share; each command has those that its options set. */
export interface CommonSettings {
  format?: string;
  imageOpts?: boolean;
  forceShare?: boolean;
  quiet?: boolean;
  progress?: boolean;
  output?: 'human' | 'json';
  options?: string;
  cache?: string;
  sourceCache?: string;
  backing?: string;
  backingFormat?: string;
  unsafe?: boolean;
  compress?: boolean;
  rate?: number;
}

/** `-f`. */
export const FORMAT: CommandOption<CommonSettings> = {
  short: 'f',
  long: 'format',
  takesValue: true,
  metavar: 'FMT',
  help: 'format of the image; found by its content by default',
  apply(settings, value) {
    settings.format = value;
  },
};

/** `--image-opts`. */
export const IMAGE_OPTS: CommandOption<CommonSettings> = {
  long: 'image-opts',
  takesValue: false,
  help: 'the image is named by options (driver=…,file.filename=…), not by a file name',
  apply(settings) {
    settings.imageOpts = true;
  },
};

/** `-U`. */
export const FORCE_SHARE: CommandOption<CommonSettings> = {
  short: 'U',
  long: 'force-share',
  takesValue: false,
  help: 'open the image even though another process writes to it',
  apply(settings) {
    settings.forceShare = true;
  },
};

/** `-q`. */
export const QUIET: CommandOption<CommonSettings> = {
  short: 'q',
  long: 'quiet',
  takesValue: false,
  help: 'print nothing but errors',
  apply(settings) {
    settings.quiet = true;
  },
};

/** `-p`. */
export const PROGRESS: CommandOption<CommonSettings> = {
  short: 'p',
  long: 'progress',
  takesValue: false,
  help: 'show progress',
  apply(settings) {
    settings.progress = true;
  },
};

/** `--object`. */
export const OBJECT: CommandOption<unknown> = {
  long: 'object',
  takesValue: true,
  metavar: 'OBJDEF',
  help: 'define a secret: secret,id=ID,data=TEXT or secret,id=ID,file=PATH',
  apply(_settings, value, session) {
    session.secrets.define(value);
  },
};

/** `--output`. */
export const OUTPUT: CommandOption<CommonSettings> = {
  long: 'output',
  takesValue: true,
  metavar: 'human|json',
  help: 'form of the output',
  apply(settings, value) {
    if (value !== 'human' && value !== 'json') {
      throw new Failure(`--output expects 'human' or 'json', not '${value}'`);
    }
    settings.output = value;
  },
};

/** `-o`; several of them count as one list. */
export const OPTIONS: CommandOption<CommonSettings> = {
  short: 'o',
  long: 'options',
  takesValue: true,
  metavar: 'OPTIONS',
  help: 'options of the format: NAME=VALUE,…; "help" lists them',
  apply: addOptions,
};

/** Takes one more `-o` in. */
export function addOptions(settings: CommonSettings, value: string): void {
  if (!isJoinable(value)) {
    throw new Failure(`Invalid option list: ${value}`);
  }
  settings.options = settings.options === undefined ? value : `${settings.options},${value}`;
}

/** `-t`: how the image is written. */
export const CACHE: CommandOption<CommonSettings> = {
  short: 't',
  long: 'cache',
  takesValue: true,
  metavar: 'CACHE',
  help: 'cache mode of the image that is written',
  apply(settings, value) {
    settings.cache = value;
  },
};

/** `-T`: how images are read. */
export const SOURCE_CACHE: CommandOption<CommonSettings> = {
  short: 'T',
  long: 'source-cache',
  takesValue: true,
  metavar: 'CACHE',
  help: 'cache mode of images that are only read',
  apply(settings, value) {
    settings.sourceCache = value;
  },
};

/** `-b`. */
export const BACKING: CommandOption<CommonSettings> = {
  short: 'b',
  long: 'backing',
  takesValue: true,
  metavar: 'FILE',
  help: 'backing file',
  apply(settings, value) {
    settings.backing = value;
  },
};

/** `-F`. */
export const BACKING_FORMAT: CommandOption<CommonSettings> = {
  short: 'F',
  long: 'backing-format',
  takesValue: true,
  metavar: 'FMT',
  help: 'format of the backing file',
  apply(settings, value) {
    settings.backingFormat = value;
  },
};

/** `-u`. */
export const BACKING_UNSAFE: CommandOption<CommonSettings> = {
  short: 'u',
  long: 'backing-unsafe',
  takesValue: false,
  help: 'do not look at the backing file',
  apply(settings) {
    settings.unsafe = true;
  },
};

/** `-c`. */
export const COMPRESS: CommandOption<CommonSettings> = {
  short: 'c',
  long: 'compress',
  takesValue: false,
  help: 'store data compressed',
  apply(settings) {
    settings.compress = true;
  },
};

/** `-r`. */
export const RATE_LIMIT: CommandOption<CommonSettings> = {
  short: 'r',
  long: 'rate-limit',
  takesValue: true,
  metavar: 'RATE',
  help: 'most bytes a second',
  apply(settings, value) {
    settings.rate = readSize(value, 'rate limit');
  },
};

/**
 * A cache mode by its name.
 *
 * @throws Failure
 */
export function cacheMode(
  text: string | undefined,
  message: (text: string) => string = (name) => `Invalid cache option: ${name}`,
): CacheMode | undefined {
  if (text === undefined) {
    return undefined;
  }
  const mode = CACHE_MODES.find((name) => name === text);
  if (mode === undefined) {
    throw new Failure(message(text));
  }
  return mode;
}

/** The same for `-T`. */
export function sourceCacheMode(text: string | undefined, exitCode = 1): CacheMode | undefined {
  try {
    return cacheMode(text, (name) => `Invalid source cache option: ${name}`);
  } catch (error) {
    throw error instanceof Failure ? new Failure(error.message, { exitCode }) : error;
  }
}

/**
 * A number with a size suffix, from an option or operand.
 *
 * @param what - `start offset`: what it is, for messages
 * @throws Failure
 */
export function readSize(
  text: string,
  what: string,
  { min = 0n, max = MAX_SIZE }: { readonly min?: bigint; readonly max?: bigint } = {},
): number {
  const result = parseSizeText(text);
  if (result.bytes === undefined && result.problem !== 'range') {
    throw new Failure(
      `Invalid ${what} specified. You may use k, M, G, T, P or E suffixes for\n` +
        'kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.',
    );
  }
  if (result.bytes === undefined || result.bytes > max || result.bytes < min) {
    throw new Failure(`Invalid ${what} specified. Must be between ${min} and ${max}.`);
  }
  return Number(result.bytes);
}

/**
 * The size of a disk.
 *
 * @throws Failure
 */
export function readImageSize(text: string): number {
  const result = parseSizeText(text);
  if (result.bytes === undefined && result.problem === 'syntax') {
    throw new Failure(`Invalid image size specified: '${text}'`, { hint: HOW_SIZES_ARE_GIVEN });
  }
  if (result.bytes === undefined || result.bytes > MAX_SIZE) {
    throw new Failure(`Invalid image size specified. Must be between 0 and ${MAX_SIZE}.`);
  }
  return Number(result.bytes);
}

/**
 * The only operand.
 *
 * @throws Failure
 */
export function onlyOperand(
  operands: readonly string[],
  what = 'Expecting one image file name',
): string {
  const [only, ...others] = operands;
  if (only === undefined || others.length > 0) {
    throw wrongUsage(what);
  }
  return only;
}

/**
 * `--image-opts` and `-f` together are a mistake.
 *
 * @throws Failure
 */
export function assertOneNaming({ imageOpts, format }: CommonSettings): void {
  if (imageOpts === true && format !== undefined) {
    throw new Failure('--image-opts and --format are mutually exclusive');
  }
}
