import { isPowerOfTwo, LamellaError, readUint64, type Storage, viewOf } from '@lamella/core';

/** Bytes from the start of the file, as the README has them. */
const FIELD = {
  signature: 0x40,
  minorVersion: 0x44,
  majorVersion: 0x46,
  headerLength: 0x48,
  type: 0x4c,
  description: 0x54,
  mapOffset: 0x154,
  dataOffset: 0x158,
  size: 0x170,
  blockSize: 0x178,
  blockExtra: 0x17c,
  blocks: 0x180,
  storedBlocks: 0x184,
  identity: 0x188,
  parent: 0x1a8,
} as const;
const DESCRIPTION_LENGTH = 256;
const IDENTITY_LENGTH = 16;
/** Where the last field that is read ends. */
const HEADER_END = 0x1c8;
const SIGNATURE = 0xbeda107f;
const TYPES: ReadonlyMap<number, VdiHeader['type']> = new Map([
  [1, 'dynamic'],
  [2, 'static'],
]);
const MIN_BLOCK_SIZE = 512;
const MAX_BLOCK_SIZE = 256 * 1024 * 1024;
/** Bytes of an entry of the block map. */
export const ENTRY_SIZE = 4;

/** What the header of an image says, checked. */
export interface VdiHeader {
  /** Whether blocks are stored when they are first written, or all from the beginning. */
  readonly type: 'dynamic' | 'static';
  /** Bytes of the guest's disk. */
  readonly size: number;
  /** Bytes of a block. */
  readonly blockSize: number;
  /** Byte of the file at which the block map begins; a multiple of {@link ENTRY_SIZE}. */
  readonly mapOffset: number;
  /** Byte of the file at which stored blocks begin. */
  readonly dataOffset: number;
  /** How many blocks are stored, by the header. */
  readonly storedBlocks: number;
  /** The user's text. */
  readonly description: string;
  /** Identity of the image, as a UUID. */
  readonly identity: string;
}

/** Whether a head is that of a VDI image: the signature alone decides. */
export function hasSignature(head: Uint8Array): boolean {
  return (
    head.length >= FIELD.signature + 4 &&
    viewOf(head).getUint32(FIELD.signature, true) === SIGNATURE
  );
}

/**
 * Reads and checks the header. The file is known to hold the whole block map afterwards; its entries are not
 * looked at.
 *
 * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`, `LIMIT_EXCEEDED`, `IO_ERROR`
 */
export async function readHeader(storage: Storage): Promise<VdiHeader> {
  const { location } = storage;
  const bytes = new Uint8Array(HEADER_END);
  await storage.read(bytes, 0);
  if (!hasSignature(bytes)) {
    throw new LamellaError('WRONG_FORMAT', 'this is no VDI image', { location, offset: 0 });
  }
  if (storage.size < HEADER_END) {
    throw new LamellaError('TRUNCATED', 'the file ends within its header', {
      location,
      offset: storage.size,
    });
  }
  const view = viewOf(bytes);
  const field = (name: keyof typeof FIELD) => view.getUint32(FIELD[name], true);
  const header: VdiHeader = {
    type: readType(bytes, location),
    size: readUint64(view, FIELD.size, 'little', { name: "the disk's size", location }),
    blockSize: field('blockSize'),
    mapOffset: field('mapOffset'),
    dataOffset: field('dataOffset'),
    storedBlocks: field('storedBlocks'),
    description: readDescription(bytes),
    identity: readIdentity(bytes),
  };
  if (field('blockExtra') !== 0) {
    throw new LamellaError('UNSUPPORTED', 'blocks with extra bytes before them', {
      location,
      offset: FIELD.blockExtra,
    });
  }
  checkGeometry(header, field('blocks'), storage);
  return header;
}

/** Whatever can't be read right is refused before anything else is believed. */
function readType(bytes: Uint8Array, location: string): VdiHeader['type'] {
  const view = viewOf(bytes);
  const major = view.getUint16(FIELD.majorVersion, true);
  const minor = view.getUint16(FIELD.minorVersion, true);
  if (major !== 1) {
    throw new LamellaError('UNSUPPORTED', `VDI of version ${major}.${minor}`, {
      location,
      offset: FIELD.minorVersion,
    });
  }
  const length = view.getUint32(FIELD.headerLength, true);
  if (length < HEADER_END - FIELD.headerLength) {
    throw new LamellaError('INVALID_HEADER', `a header can't be ${length} bytes long`, {
      location,
      offset: FIELD.headerLength,
    });
  }
  const code = view.getUint32(FIELD.type, true);
  const type = TYPES.get(code);
  const parent = bytes.subarray(FIELD.parent, FIELD.parent + IDENTITY_LENGTH);
  const hasParent = parent.some((byte) => byte !== 0);
  if (code === 3 || code === 4 || (type !== undefined && hasParent)) {
    throw new LamellaError('UNSUPPORTED', 'the image holds changes to another one', {
      location,
      offset: hasParent ? FIELD.parent : FIELD.type,
      hint: 'Merge it into its parent with VirtualBox, or clone it.',
    });
  }
  if (type === undefined) {
    throw new LamellaError('INVALID_HEADER', `there is no image type ${code}`, {
      location,
      offset: FIELD.type,
    });
  }
  return type;
}

function checkGeometry(header: VdiHeader, blocks: number, { location, size }: Storage): void {
  const { blockSize, mapOffset, dataOffset } = header;
  const invalid = (problem: string, offset: number) =>
    new LamellaError('INVALID_HEADER', problem, { location, offset });
  if (!isPowerOfTwo(blockSize) || blockSize < MIN_BLOCK_SIZE) {
    throw invalid(`a block can't have ${blockSize} bytes`, FIELD.blockSize);
  }
  if (blockSize > MAX_BLOCK_SIZE) {
    throw new LamellaError('LIMIT_EXCEEDED', `blocks of ${blockSize} bytes are too large`, {
      location,
      offset: FIELD.blockSize,
    });
  }
  const needed = Math.ceil(header.size / blockSize);
  if (needed > blocks) {
    throw invalid(`${blocks} blocks do not make a disk of ${header.size} bytes`, FIELD.blocks);
  }
  if (mapOffset < HEADER_END || mapOffset % ENTRY_SIZE !== 0) {
    throw invalid(`the block map can't begin at byte ${mapOffset}`, FIELD.mapOffset);
  }
  const mapEnd = mapOffset + blocks * ENTRY_SIZE;
  if (dataOffset < mapEnd) {
    throw invalid(
      `blocks can't begin at byte ${dataOffset}, within the block map`,
      FIELD.dataOffset,
    );
  }
  if (mapEnd > size) {
    throw new LamellaError('TRUNCATED', 'the file ends within its block map', {
      location,
      offset: size,
    });
  }
}

function readDescription(bytes: Uint8Array): string {
  const field = bytes.subarray(FIELD.description, FIELD.description + DESCRIPTION_LENGTH);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

/** The first three groups of a UUID are stored as numbers, so their bytes are turned round. */
function readIdentity(bytes: Uint8Array): string {
  const field = bytes.subarray(FIELD.identity, FIELD.identity + IDENTITY_LENGTH);
  const hex = (from: number, to: number, turned = false) => {
    const group = [...field.subarray(from, to)];
    return (turned ? group.reverse() : group)
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join('');
  };
  return [hex(0, 4, true), hex(4, 6, true), hex(6, 8, true), hex(8, 10), hex(10, 16)].join('-');
}
