/**
 * An entry of a table in messages: its 64 bits in hexadecimal digits.
 *
 * @param high - bits 32-63
 * @param low - bits 0-31
 */
export function entryText(high: number, low: number): string {
  const digits = (high >>> 0).toString(16) + (low >>> 0).toString(16).padStart(8, '0');
  return `0x${digits.replace(/^0+(?=.)/, '')}`;
}
