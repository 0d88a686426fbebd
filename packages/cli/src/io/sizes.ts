const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
const DIGITS = 1000n;

/** A size as `1.500 MiB`: three decimals, half to even, none at all for a whole number. */
export function sizeText(bytes: bigint): string {
  const power = powerOf(bytes);
  if (power === 0) {
    return `${bytes} bytes`;
  }
  const unit = 1n << BigInt(10 * power);
  const scaled = bytes * DIGITS;
  const rest = scaled % unit;
  let rounded = scaled / unit;
  if (rest * 2n > unit || (rest * 2n === unit && rounded % 2n === 1n)) {
    rounded += 1n;
  }
  const decimals = String(rounded % DIGITS).padStart(3, '0');
  return `${rounded / DIGITS}${decimals === '000' ? '' : `.${decimals}`} ${UNITS[power]}`;
}

function powerOf(bytes: bigint): number {
  let power = 0;
  while (power < UNITS.length - 1 && bytes >> BigInt(10 * (power + 1)) > 0n) {
    power += 1;
  }
  return power;
}

/** A rate of bytes, which need not be whole. */
export function rateText(bytesPerSecond: number): string {
  let power = 0;
  let value = bytesPerSecond;
  while (power < UNITS.length - 1 && value >= 1024) {
    value /= 1024;
    power += 1;
  }
  return power === 0
    ? `${value.toFixed(6)} bytes`
    : `${value.toFixed(3).replace(/\.000$/, '')} ${UNITS[power]}`;
}
