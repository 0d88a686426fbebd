import { type Disk, LamellaError } from 'lamella';

/** Requests are carried out in pieces of this many bytes, a multiple of every cluster size. */
const PIECE = 16 * 1024 * 1024;

/** Bytes to write: a pattern that is repeated. */
export class Fill {
  readonly #pattern: Uint8Array;

  /** @param pattern - at least one byte */
  constructor(pattern: Uint8Array) {
    this.#pattern = pattern;
  }

  /** `length` of the bytes from position `start` of the request on. */
  bytes(start: number, length: number): Uint8Array {
    const shift = start % this.#pattern.length;
    const rotated = Buffer.concat([
      this.#pattern.subarray(shift),
      this.#pattern.subarray(0, shift),
    ]);
    return Buffer.alloc(length, rotated);
  }
}

/**
 * The range as numbers.
 *
 * @throws LamellaError `OUT_OF_RANGE`
 */
export function rangeOf(
  disk: Disk,
  offset: bigint,
  bytes: bigint,
): { readonly offset: number; readonly length: number } {
  if (offset + bytes > BigInt(disk.size)) {
    throw new LamellaError('OUT_OF_RANGE', 'the range ends past the disk', {
      location: disk.location,
    });
  }
  return { offset: Number(offset), length: Number(bytes) };
}

/** Calls `each` for the pieces of a range, one after the other. */
export async function inPieces(
  length: number,
  each: (start: number, length: number) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < length; start += PIECE) {
    await each(start, Math.min(PIECE, length - start));
  }
}

/** What a read is compared with: one byte, in a part of what is read. */
export interface Expected {
  readonly pattern: number;
  /** First byte of the part, counted from the beginning of the request. */
  readonly start: number;
  readonly length: number;
}

/** What was read, as far as anybody wants it. */
export interface ReadOutcome {
  /** The bytes, if they were to be kept. */
  readonly bytes: Uint8Array | undefined;
  /** Whether they are as expected. */
  readonly matches: boolean;
}

/**
 * Reads a range and compares it; keeps the bytes only if asked to.
 *
 * @throws LamellaError as `Disk.read`
 */
export async function readRange(
  disk: Disk,
  range: { readonly offset: number; readonly length: number },
  expected: Expected | undefined,
  keep: boolean,
): Promise<ReadOutcome> {
  const kept = keep ? Buffer.alloc(range.length) : undefined;
  const passing = Buffer.alloc(keep ? 0 : Math.min(PIECE, range.length));
  let matches = true;
  await inPieces(range.length, async (start, length) => {
    const piece = kept?.subarray(start, start + length) ?? passing.subarray(0, length);
    await disk.read(piece, range.offset + start);
    matches &&= expected === undefined || holds(piece, start, expected);
  });
  return { bytes: kept, matches };
}

/** Whether the piece at `start` has nothing but the pattern where it is expected. */
function holds(piece: Uint8Array, start: number, { pattern, ...part }: Expected): boolean {
  const from = Math.max(0, part.start - start);
  const to = Math.min(piece.length, part.start + part.length - start);
  const compared = piece.subarray(from, Math.max(from, to));
  // A run of one byte is equal to itself moved by one.
  return (
    compared.length === 0 ||
    (compared[0] === pattern &&
      Buffer.compare(compared.subarray(1), compared.subarray(0, -1)) === 0)
  );
}
