const SUFFIXES = 'BKMGTPE';
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** Largest size that a command line takes, in bytes; exact figures beyond 2^53 are of no use here. */
export const MAX_SIZE = 2n ** 63n - 1n;

/** Outcome of reading a size: bytes, or what is wrong. */
export type SizeResult =
  | { readonly bytes: bigint }
  | { readonly problem: 'syntax' | 'negative' | 'range'; readonly bytes?: undefined };

/**
 * Reads a size as qemu-img does: a decimal number, with a fraction only if a suffix follows, or a
 * hexadecimal one with `0x`; then `b`, `k`, `M`, `G`, `T`, `P` or `E` (powers of 1024).
 *
 * @param unit - suffix that is meant when there is none
 */
export function parseSizeText(text: string, unit = 'B'): SizeResult {
  const match = /^\s*([+-]?)(?:(0x[0-9a-f]+)|(\d+)(?:\.(\d*))?|\.(\d+))([bkmgtpe]?)$/i.exec(text);
  if (match === null) {
    return { problem: 'syntax' };
  }
  const [, sign, hex, whole = '0', after = '', alone = '', suffix = ''] = match;
  const fraction = after + alone;
  if (hex !== undefined && suffix !== '') {
    return { problem: 'syntax' };
  }
  const power = SUFFIXES.indexOf((suffix || unit).toUpperCase());
  if (/[1-9]/.test(fraction) && power === 0) {
    return { problem: 'syntax' };
  }
  const scale = 1024n ** BigInt(power);
  const part = BigInt(Math.trunc(Number(`0.${fraction || '0'}`) * Number(scale)));
  const bytes = BigInt(hex ?? whole) * scale + part;
  if (sign === '-' && bytes > 0n) {
    return { problem: 'negative' };
  }
  return bytes > 2n ** 64n - 1n ? { problem: 'range' } : { bytes };
}

/** A size for people as qemu-img prints it: `1.5 GiB`. */
export function formatSize(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (unit < UNITS.length - 1 && value >= 1000) {
    value /= 1024;
    unit += 1;
  }
  return `${threeDigits(value)} ${UNITS[unit]}`;
}

/** Three significant digits without trailing zeroes, or `1e+03` for what rounds up to a thousand. */
function threeDigits(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return rounded >= 1000 ? '1e+03' : String(rounded);
}
