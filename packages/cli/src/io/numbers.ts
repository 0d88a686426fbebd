import { MAX_SIZE, parseSizeText } from '../command-line/size.js';
import { CommandFailure } from './command-failure.js';

/** Longest request in bytes: whole sectors below 2 GiB. */
const MAX_REQUEST = 2 ** 31 - 512;

/** Unit of offsets and lengths where bytes are not fine enough for the format. */
export const SECTOR = 512;

/** A hexadecimal number with a suffix: read, but with a warning. */
const SUFFIXED_HEX = /^(0x[0-9a-f]+)([kmgt])$/i;
const POWERS = 'kmgt';

/**
 * An offset or length of a command, in bytes.
 *
 * @param warn - hears of a form that is out of fashion
 * @throws CommandFailure
 */
export function readNumber(text: string, warn: (text: string) => void): bigint {
  const hex = SUFFIXED_HEX.exec(text);
  if (hex?.[1] !== undefined && hex[2] !== undefined) {
    warn(`Using a multiplier suffix on hex numbers is deprecated: ${text}`);
    return inRange(BigInt(hex[1]) << BigInt(10 * (POWERS.indexOf(hex[2].toLowerCase()) + 1)), text);
  }
  const result = /^[-.]/.test(text) ? ({ problem: 'syntax' } as const) : parseSizeText(text);
  if (result.bytes === undefined) {
    throw new CommandFailure(
      result.problem === 'range'
        ? `Parsing error: argument too large -- ${text}`
        : `Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- ${text}`,
    );
  }
  return inRange(result.bytes, text);
}

function inRange(bytes: bigint, text: string): bigint {
  if (bytes > MAX_SIZE) {
    throw new CommandFailure(`Parsing error: argument too large -- ${text}`);
  }
  return bytes;
}

/**
 * The length of a request that is one buffer.
 *
 * @param condition - what else the message says of the limit
 * @throws CommandFailure
 */
export function assertLength(length: bigint, text: string, condition = ''): void {
  if (length > BigInt(MAX_REQUEST)) {
    throw new CommandFailure(`length cannot exceed ${MAX_REQUEST}${condition}, given ${text}`);
  }
}

/** @throws CommandFailure */
export function assertSectors(offset: bigint, count: bigint): void {
  for (const [what, value] of [
    ['offset', offset],
    ['count', count],
  ] as const) {
    if (value % BigInt(SECTOR) !== 0n) {
      throw new CommandFailure(`${value} is not a sector-aligned value for '${what}'`);
    }
  }
}

/**
 * The lengths of a request that is a list of buffers.
 *
 * @returns bytes of all together
 * @throws CommandFailure
 */
export function readLengths(texts: readonly string[], warn: (text: string) => void): bigint {
  let total = 0n;
  for (const text of texts) {
    const length = readNumber(text, warn);
    if (length > BigInt(MAX_REQUEST)) {
      throw new CommandFailure(`Argument '${text}' exceeds maximum size ${MAX_REQUEST}`);
    }
    if (total + length > BigInt(MAX_REQUEST)) {
      throw new CommandFailure(`The total number of bytes exceed the maximum size ${MAX_REQUEST}`);
    }
    total += length;
  }
  return total;
}

/**
 * A byte to fill with or to look for: decimal, `0x` hexadecimal or `0` octal.
 *
 * @throws CommandFailure
 */
export function readPattern(text: string): number {
  const value = readInteger(text);
  if (value === undefined || value > 255) {
    throw new CommandFailure(`${text} is not a valid pattern byte`);
  }
  return value;
}

/** A whole number as C reads it, without suffix; undefined for anything else. */
export function readInteger(text: string): number | undefined {
  const match = /^\s*\+?(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i.exec(text)?.[1];
  if (match === undefined) {
    return undefined;
  }
  return /^0[0-7]+$/.test(match) ? Number.parseInt(match, 8) : Number(match);
}
