import { type Awaitable, alignDown, alignUp, isPromise } from '../bytes/index.js';
import type { Allocation, DataExtent, InPlace } from '../driver/index.js';
import { CIPHER_SECTOR, type RangeCipher } from '../platform/index.js';
import { guestOf } from './guest.js';
import { Pending } from './pending.js';
import type { Reader } from './reader.js';

/** Bytes that are ciphered as one piece: bounds the memory of a long request and each step's time. */
const PIECE = 1024 * 1024;
/** Most pieces of one request that are read or written at once. */
const MAX_PIECES = 4;

/** The whole sectors that a range of bytes lies in. */
export function cipherSectors(offset: number, length: number): { start: number; end: number } {
  return {
    start: alignDown(offset, CIPHER_SECTOR),
    end: alignUp(offset + length, CIPHER_SECTOR),
  };
}

/**
 * Reads and deciphers what a ciphered extent holds. Whole sectors go straight into the buffer; others are
 * read with the rest of their sectors, which are in the same cluster.
 *
 * @param buffer - as long as the extent
 */
export function readCiphered(
  { storage, offset }: DataExtent,
  range: RangeCipher,
  buffer: Uint8Array,
): Awaitable<void> {
  const head = range.position % CIPHER_SECTOR;
  if (head !== 0 || buffer.length % CIPHER_SECTOR !== 0) {
    return readUnaligned({ storage, offset }, range, buffer);
  }
  if (buffer.length > PIECE) {
    return readInPieces({ storage, offset }, range, buffer);
  }
  const { cipher, position } = range;
  const read = guestOf(storage).read(buffer, offset);
  return isPromise(read)
    ? read.then(() => cipher.decrypt(buffer, position))
    : cipher.decrypt(buffer, position);
}

type Place = Pick<DataExtent, 'storage' | 'offset'>;

async function readInPieces(
  { storage, offset }: Place,
  { cipher, position }: RangeCipher,
  buffer: Uint8Array,
): Promise<void> {
  const pending = new Pending(MAX_PIECES);
  for (let done = 0; done < buffer.length && !pending.failed; done += PIECE) {
    const piece = buffer.subarray(done, done + PIECE);
    pending.add(readPiece(storage, offset + done, { cipher, position: position + done }, piece));
    await pending.room();
  }
  await pending.settle();
}

async function readPiece(
  storage: Place['storage'],
  offset: number,
  { cipher, position }: RangeCipher,
  piece: Uint8Array,
): Promise<void> {
  await guestOf(storage).read(piece, offset);
  await cipher.decrypt(piece, position);
}

/** Splits off the sectors at the ends of which only a part is wanted. */
async function readUnaligned(
  { storage, offset }: Place,
  { cipher, position }: RangeCipher,
  buffer: Uint8Array,
): Promise<void> {
  const { start, end } = cipherSectors(position, buffer.length);
  const head = position - start;
  if (end - start <= PIECE) {
    const sectors = new Uint8Array(end - start);
    await readPiece(storage, offset - head, { cipher, position: start }, sectors);
    buffer.set(sectors.subarray(head, head + buffer.length));
    return;
  }
  const first = head === 0 ? 0 : CIPHER_SECTOR - head;
  const middle = alignDown(buffer.length - first, CIPHER_SECTOR);
  for (const [from, to] of [
    [0, first],
    [first, first + middle],
    [first + middle, buffer.length],
  ] as const) {
    if (from < to) {
      const place = { storage, offset: offset + from };
      await readPart(place, { cipher, position: position + from }, buffer.subarray(from, to));
    }
  }
}

function readPart(place: Place, range: RangeCipher, part: Uint8Array): Awaitable<void> {
  return part.length < CIPHER_SECTOR
    ? readUnaligned(place, range, part)
    : readInPieces(place, range, part);
}

/** Writes ciphered data. The caller's bytes are never changed: copies are ciphered. */
export class CipherWriter {
  readonly #reader: Reader;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /**
   * Ciphers and writes into space that the range has already. Sectors of which only a part is written are
   * read first, so nothing else may be under way in any of the range's sectors.
   *
   * @param bytes - the placement's part of the write
   */
  async writeInPlace(placement: InPlace, range: RangeCipher, bytes: Uint8Array): Promise<void> {
    const storage = guestOf(placement.storage);
    const { cipher, position } = range;
    const { start, end } = cipherSectors(position, bytes.length);
    const host = placement.offset - (position - start);
    const old = async (piece: Uint8Array, from: number): Promise<void> => {
      await storage.read(piece, host + (from - start));
      await cipher.decrypt(piece, from);
    };
    await inPieces(start, end, async (from, piece) => {
      if (from < position) {
        await old(piece.subarray(0, CIPHER_SECTOR), from);
      }
      const last = from + piece.length - CIPHER_SECTOR;
      if (last + CIPHER_SECTOR > position + bytes.length && (last > from || from >= position)) {
        await old(piece.subarray(-CIPHER_SECTOR), last);
      }
      overlay(piece, from, bytes, position);
      await cipher.encrypt(piece, from);
      await storage.write(piece, host + (from - start));
    });
  }

  /**
   * Ciphers and writes everything that an allocation has to hold: data, and copy-on-write edges with what
   * the guest reads there now. Space that reads as zeroes is no use here, because ciphered zeroes are none.
   *
   * @param bytes - the data; zeroes if not given
   * @param offset - guest offset of the data
   */
  async fill(
    allocation: Allocation,
    range: RangeCipher,
    bytes: Uint8Array | undefined,
    offset: number,
  ): Promise<void> {
    const { length, copyBefore, copyAfter } = allocation;
    const storage = guestOf(allocation.storage);
    const { cipher, position } = range;
    const toHost = allocation.offset - position;
    const toGuest = offset - position;
    const edge = async (piece: Uint8Array, at: number, from: number, to: number): Promise<void> => {
      const start = Math.max(from, at);
      const end = Math.min(to, at + piece.length);
      if (start < end) {
        await this.#reader.read(0, piece.subarray(start - at, end - at), start + toGuest);
      }
    };
    await inPieces(position - copyBefore, position + length + copyAfter, async (at, piece) => {
      await edge(piece, at, position - copyBefore, position);
      await edge(piece, at, position + length, position + length + copyAfter);
      if (bytes !== undefined) {
        overlay(piece, at, bytes, position);
      }
      await cipher.encrypt(piece, at);
      await storage.write(piece, at + toHost);
    });
  }
}

/** Goes through `[start, end)` in buffers of zeroes, a few of them at once. */
async function inPieces(
  start: number,
  end: number,
  action: (from: number, piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const pending = new Pending(MAX_PIECES);
  for (let from = start; from < end && !pending.failed; from += PIECE) {
    pending.add(action(from, new Uint8Array(Math.min(PIECE, end - from))));
    await pending.room();
  }
  await pending.settle();
}

/** Lays the part of `bytes` (which start at `position`) that falls into a piece (from `from`) over it. */
function overlay(piece: Uint8Array, from: number, bytes: Uint8Array, position: number): void {
  const start = Math.max(from, position);
  const end = Math.min(from + piece.length, position + bytes.length);
  if (start < end) {
    piece.set(bytes.subarray(start - position, end - position), start - from);
  }
}
