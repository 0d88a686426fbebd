/** A run of bits by number. */
export interface BitRun {
  readonly first: number;
  /** Behind the last. */
  readonly end: number;
}

/**
 * The runs of set bits, in order.
 *
 * @param bytes - lowest bit of a byte first
 * @param count - bits to look at, at most 8 for each byte
 */
export function* bitRuns(bytes: Uint8Array, count: number): Generator<BitRun, void, undefined> {
  let first = nextBit(bytes, 0, count, true);
  while (first < count) {
    const end = nextBit(bytes, first, count, false);
    yield { first, end };
    first = nextBit(bytes, end, count, true);
  }
}

/** The next bit from one on that is set, or is not; `count` without one. */
function nextBit(bytes: Uint8Array, from: number, count: number, set: boolean): number {
  const none = set ? 0 : 0xff;
  let bit = from;
  while (bit < count) {
    const byte = bytes[bit >>> 3] ?? 0;
    if ((bit & 7) === 0 && byte === none) {
      bit += 8;
    } else if (((byte >>> (bit & 7)) & 1) === (set ? 1 : 0)) {
      return bit;
    } else {
      bit += 1;
    }
  }
  return count;
}

/** Clears the bits from a number on. */
export function clearBitsFrom(bytes: Uint8Array, first: number): void {
  const at = first >>> 3;
  if (at < bytes.length) {
    bytes[at] = (bytes[at] ?? 0) & (0xff >>> (8 - (first & 7)));
    bytes.fill(0, at + 1);
  }
}
