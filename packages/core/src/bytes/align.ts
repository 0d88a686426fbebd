/** Largest multiple of `unit` that is not above `value`. Safe for every safe integer. */
export function alignDown(value: number, unit: number): number {
  return value - (value % unit);
}

/** Smallest multiple of `unit` that is not below `value`. */
export function alignUp(value: number, unit: number): number {
  const rest = value % unit;
  return rest === 0 ? value : value + (unit - rest);
}

/** Whether `value` is 2^n for a whole n. */
export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}
