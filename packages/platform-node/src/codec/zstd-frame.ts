import { corruptStream } from './corrupt-stream.js';

/** First bytes of a Zstandard frame (RFC 8878, 3.1.1). */
const MAGIC = 0xfd2f_b528;
/** Bytes of the magic number and the frame header descriptor. */
const PREFIX = 5;
/** Flags in the frame header descriptor. */
const SINGLE_SEGMENT = 0x20;
const RESERVED = 0x08;
const CHECKSUM = 0x04;
const DICTIONARY_MASK = 0x03;
/** The frame header descriptor's upper bits for a content size of four bytes. */
const FOUR_BYTE_SIZE = 0x80;
/** Bytes of the content size field by the upper two bits of the descriptor. */
const SIZE_FIELD = [0, 2, 4, 8] as const;
/** A content size of two bytes counts from here. */
const TWO_BYTE_BASE = 256;
const BLOCK_HEADER = 3;
const CHECKSUM_LENGTH = 4;
/** Most bytes that one block may give (RFC 8878, 3.1.1.2.4). */
const MAX_BLOCK = 128 * 1024;
/** Block types: 0 is raw bytes, 3 is reserved. */
const RLE = 1;
const COMPRESSED = 2;
/**
 * A frame may have so many blocks, and one more for each so many bytes of content. Compressors make one
 * for 128 KiB, or for 8 KiB when they split them; a bomb is made of very many.
 */
const SPARE_BLOCKS = 16;
const BYTES_PER_BLOCK = 4096;

/** A frame whose header can be believed. */
export interface SoundFrame {
  readonly bytes: Uint8Array;
  /** Bytes that its blocks could give at most, before a decoder that has no bound of its own notices. */
  readonly mostBytes: number;
}

/** Where a frame ends and what its blocks could give. */
interface Walk {
  readonly end: number;
  readonly mostBytes: number;
}

/** The parts of a frame's header that matter here. */
interface FrameHeader {
  /** Bytes that the frame says it gives, if it does. */
  readonly contentSize: number | undefined;
  readonly singleSegment: boolean;
  readonly checksum: boolean;
  /** Bytes up to the first block. */
  readonly length: number;
}

/**
 * The frame at the start of `input` alone, without what follows it, with a header that says that it gives
 * `outputLength` bytes and needs no larger window. The header's own claims are hostile until then: a
 * decoder may take memory for the content size or the window that it finds there.
 *
 * @param outputLength - bytes that the frame has to give
 * @throws LamellaError `CORRUPT` when there is no whole frame, it says to give another number of bytes, or
 * its blocks could give very many more
 */
export function soundFrame(input: Uint8Array, outputLength: number): SoundFrame {
  const header = readHeader(input);
  if (header.contentSize !== undefined && header.contentSize !== outputLength) {
    throw damaged(`says it gives ${header.contentSize} bytes instead of ${outputLength}`);
  }
  const { end, mostBytes } = walk(input, header, outputLength);
  if (header.singleSegment) {
    return { bytes: input.subarray(0, end), mostBytes };
  }
  const frame = new Uint8Array(PREFIX + 4 + end - header.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, MAGIC, true);
  frame[4] = FOUR_BYTE_SIZE | SINGLE_SEGMENT | (header.checksum ? CHECKSUM : 0);
  view.setUint32(PREFIX, outputLength, true);
  frame.set(input.subarray(header.length, end), PREFIX + 4);
  return { bytes: frame, mostBytes };
}

function readHeader(input: Uint8Array): FrameHeader {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const descriptor = input[PREFIX - 1];
  if (descriptor === undefined || view.getUint32(0, true) !== MAGIC) {
    throw damaged('does not start with a frame');
  }
  if ((descriptor & RESERVED) !== 0) {
    throw damaged('has a reserved bit set in its header');
  }
  if ((descriptor & DICTIONARY_MASK) !== 0) {
    throw damaged('asks for a dictionary');
  }
  const singleSegment = (descriptor & SINGLE_SEGMENT) !== 0;
  const start = singleSegment ? PREFIX : PREFIX + 1;
  const sizeCode = SIZE_FIELD[descriptor >>> 6] ?? 0;
  const sizeLength = sizeCode === 0 && singleSegment ? 1 : sizeCode;
  if (start + sizeLength > input.length) {
    throw damaged('ends within its header');
  }
  return {
    contentSize: readSize(view, start, sizeLength),
    singleSegment,
    checksum: (descriptor & CHECKSUM) !== 0,
    length: start + sizeLength,
  };
}

function readSize(view: DataView, at: number, length: number): number | undefined {
  switch (length) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + TWO_BYTE_BASE;
    case 4:
      return view.getUint32(at, true);
    case 8:
      return Number(view.getBigUint64(at, true));
    default:
      return undefined;
  }
}

/** Walks over the blocks. */
function walk(input: Uint8Array, header: FrameHeader, outputLength: number): Walk {
  const largest = Math.min(MAX_BLOCK, outputLength);
  let blocks = Math.floor(outputLength / BYTES_PER_BLOCK) + SPARE_BLOCKS;
  let plain = 0;
  let compressed = 0;
  let at = header.length;
  for (let last = false; !last; blocks -= 1) {
    if (at + BLOCK_HEADER > input.length) {
      throw damaged('ends before its last block');
    }
    const field = (input[at] ?? 0) | ((input[at + 1] ?? 0) << 8) | ((input[at + 2] ?? 0) << 16);
    const type = (field >>> 1) & 3;
    const size = field >>> 3;
    last = (field & 1) === 1;
    if (type > COMPRESSED || size > largest) {
      throw damaged('has an invalid block');
    }
    plain += type === COMPRESSED ? 0 : size;
    compressed += type === COMPRESSED ? 1 : 0;
    if (plain > outputLength || blocks === 0) {
      throw damaged(`gives more than ${outputLength} bytes or has too many blocks`);
    }
    at += BLOCK_HEADER + (type === RLE ? 1 : size);
  }
  const end = at + (header.checksum ? CHECKSUM_LENGTH : 0);
  if (end > input.length) {
    throw damaged('ends before its last byte');
  }
  return { end, mostBytes: plain + compressed * largest };
}

function damaged(what: string): Error {
  return corruptStream('zstd', what);
}
