/**
 * A number with a fixed count of decimals as C prints it: of two that are as near, the even one
 * (`Number.toFixed` takes the larger, so 3.125 would become 3.13 instead of 3.12).
 *
 * @param value - 0 or more
 * @param digits - decimals, 1 or more
 */
export function decimals(value: number, digits: number): string {
  const scaled = value * 10 ** digits;
  // Only what ends in few binary digits can lie in the middle, and that survives the multiplication exactly.
  const halfway = Number.isInteger(value * 2 ** (digits + 1)) && scaled % 1 === 0.5;
  const even = Math.floor(scaled) % 2 === 0;
  return halfway && even
    ? (Math.floor(scaled) / 10 ** digits).toFixed(digits)
    : value.toFixed(digits);
}
