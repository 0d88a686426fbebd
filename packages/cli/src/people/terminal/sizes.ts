const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/**
 * A size that reads well: at most three digits before the point, two or three that count, no trailing zeroes.
 * `1023 KiB` becomes `1 MiB` only where it is rounded to it.
 */
export function readableSize(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (unit < UNITS.length - 1 && value >= 1000) {
    value /= 1024;
    unit += 1;
  }
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${UNITS[unit]}`;
}

/** The same, with the bytes where they are not plain to see. */
export function exactSize(bytes: number): string {
  const text = readableSize(bytes);
  return bytes < 1000 ? text : `${text} (${groupDigits(bytes)} B)`;
}

/** `1 073 741 824`, in groups of three. */
export function groupDigits(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/** A duration: `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function readableDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) {
    return `${whole} s`;
  }
  if (whole < 3600) {
    return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  }
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
