/** A buffer of zeroes that is shared: never write to it. */
const SHARED = new Uint8Array(1024 * 1024);

/**
 * Zero bytes to write from, without allocating. The memory is shared: treat it as read-only.
 *
 * @param length - bytes, at most {@link MAX_ZEROES}
 */
export function zeroes(length: number): Uint8Array {
  return length === SHARED.length ? SHARED : SHARED.subarray(0, length);
}

/** Most bytes that {@link zeroes} gives at once. */
export const MAX_ZEROES = SHARED.length;
