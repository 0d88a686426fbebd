import { isPowerOfTwo, LamellaError, type Storage, viewOf } from '@lamella/core';

/** The first eight bytes of every image. */
const MAGIC = 'BLKLIST1';
const HEADER_LENGTH = 16;
const MAX_BLOCK_SIZE = 1024 * 1024;
/** Most blocks, so that the table takes at most 4 MiB of memory whatever a header says. */
const MAX_BLOCKS = 1024 * 1024;

/** What the header and the table of an image say. */
export interface Layout {
  /** Bytes of a block. */
  readonly blockSize: number;
  /** For each block of the disk: 0 for zeroes, or n for the n-th block of the file, from 1. */
  readonly table: Uint32Array;
  /** Byte of the file at which its first block begins. */
  readonly dataOffset: number;
}

/** Whether a head is that of an image: the magic number alone decides. */
export function hasMagic(head: Uint8Array): boolean {
  return (
    head.length >= MAGIC.length && [...MAGIC].every((char, i) => head[i] === char.charCodeAt(0))
  );
}

/**
 * Reads and checks the header and the table. Sizes are checked before memory is taken for them.
 *
 * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `LIMIT_EXCEEDED`, `CORRUPT`, `IO_ERROR`
 */
export async function readLayout(storage: Storage): Promise<Layout> {
  const { location, size } = storage;
  const header = new Uint8Array(HEADER_LENGTH);
  await storage.read(header, 0);
  if (!hasMagic(header)) {
    throw new LamellaError('WRONG_FORMAT', 'this is no __FORMAT__ image', { location, offset: 0 });
  }
  const blockSize = viewOf(header).getUint32(8, true);
  const blocks = viewOf(header).getUint32(12, true);
  if (!isPowerOfTwo(blockSize) || blockSize < 512 || blockSize > MAX_BLOCK_SIZE) {
    throw new LamellaError('INVALID_HEADER', `blocks can't have ${blockSize} bytes`, {
      location,
      offset: 8,
    });
  }
  if (blocks > MAX_BLOCKS) {
    throw new LamellaError('LIMIT_EXCEEDED', `${blocks} blocks are too many`, {
      location,
      offset: 12,
    });
  }
  const tableEnd = HEADER_LENGTH + blocks * 4;
  if (tableEnd > size) {
    throw new LamellaError('TRUNCATED', 'the file ends within its table', {
      location,
      offset: size,
    });
  }
  const dataOffset = Math.ceil(tableEnd / blockSize) * blockSize;
  const table = await readTable(storage, blocks);
  const stored = Math.max(0, Math.floor((size - dataOffset) / blockSize));
  for (const [block, entry] of table.entries()) {
    if (entry > stored) {
      throw new LamellaError('CORRUPT', `block ${block} lies behind the end of the file`, {
        location,
        offset: HEADER_LENGTH + block * 4,
      });
    }
  }
  return { blockSize, table, dataOffset };
}

async function readTable(storage: Storage, blocks: number): Promise<Uint32Array> {
  const bytes = new Uint8Array(blocks * 4);
  await storage.read(bytes, HEADER_LENGTH);
  const view = viewOf(bytes);
  return Uint32Array.from({ length: blocks }, (_, block) => view.getUint32(block * 4, true));
}
