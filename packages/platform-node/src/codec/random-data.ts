/** Spots that are looked at, and bytes of each. */
const SPOTS = 16;
const SPOT = 256;
/** Bytes for which it is worth looking. */
const MIN_LENGTH = SPOTS * SPOT;
/** Mean of chi-squared for 256 values of even odds, and five standard deviations above it. */
const MOST_UNEVEN = 255 + 5 * 22.6;
/** Repetitions are looked for at so many places, over so many bytes before each. */
const PLACES = 32;
const WINDOW = 4096;
const NEEDLE = 4;

const counts = new Uint16Array(256);

/**
 * Whether data look like noise - compressed or encrypted before - at a hundredth of what deflate takes to
 * find that out: all bytes are about as frequent, and no four of them come again. What is taken for noise
 * wrongly is stored as it is.
 */
export function isNoise(bytes: Uint8Array): boolean {
  return bytes.length >= MIN_LENGTH && isEven(bytes) && !hasRepetitions(bytes);
}

function isEven(bytes: Uint8Array): boolean {
  counts.fill(0);
  const stride = Math.floor(bytes.length / SPOTS);
  for (let spot = 0; spot < SPOTS; spot += 1) {
    const start = spot * stride + somewhere(spot, stride - SPOT);
    for (let at = start; at < start + SPOT; at += 1) {
      const value = bytes[at] ?? 0;
      counts[value] = (counts[value] ?? 0) + 1;
    }
  }
  const expected = MIN_LENGTH / 256;
  let sum = 0;
  for (const count of counts) {
    sum += (count - expected) ** 2;
  }
  return sum / expected <= MOST_UNEVEN;
}

function hasRepetitions(bytes: Uint8Array): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let place = 1; place <= PLACES; place += 1) {
    const at = NEEDLE + somewhere(place, bytes.length - 2 * NEEDLE);
    const before = buffer.subarray(Math.max(0, at - WINDOW), at);
    if (before.includes(buffer.subarray(at, at + NEEDLE))) {
      return true;
    }
  }
  return false;
}

/** A number from 0 to `limit`; data with a pattern do not have the same. */
function somewhere(number: number, limit: number): number {
  return Math.floor(((Math.imul(number, 0x9e37_79b1) >>> 0) / 2 ** 32) * (limit + 1));
}
