import {
  isPowerOfTwo,
  LamellaError,
  type Reference,
  readUint64,
  type Storage,
  viewOf,
  writeUint64,
} from '@lamella/core';

/** The first eight bytes of every image. */
export const MAGIC = 'SHELF\x00\x00\x01';
/** Bytes of the header, so that it is written as one sector: a crash leaves the old one or the new one. */
export const HEADER_LENGTH = 512;
/** Most bytes of a backing file's name. */
export const MAX_NAME = 448;
/** Most entries of the table, so that it takes at most 4 MiB of memory whatever a header says. */
export const MAX_ENTRIES = 1024 * 1024;

/** What the header of an image says. */
export interface Header {
  /** Bytes of a cluster: a power of two from 512 to 1 MiB. */
  readonly clusterSize: number;
  /** Bytes of the guest's disk. */
  readonly size: number;
  /** Byte of the file at which the table begins: a multiple of the cluster size. */
  readonly tableOffset: number;
  /** Name of the backing file, as it was given; empty for none. */
  readonly backing: string;
}

/** Entries of the table of a disk. */
export function entriesFor(size: number, clusterSize: number): number {
  return Math.ceil(size / clusterSize);
}

/** Whether a head is that of an image: the magic number alone decides. */
export function hasMagic(head: Uint8Array): boolean {
  return (
    head.length >= MAGIC.length && [...MAGIC].every((char, i) => head[i] === char.charCodeAt(0))
  );
}

/**
 * Reads and checks the header.
 *
 * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `LIMIT_EXCEEDED`, `IO_ERROR`
 */
export async function readHeader(storage: Storage): Promise<Header> {
  const { location } = storage;
  const bytes = new Uint8Array(HEADER_LENGTH);
  await storage.read(bytes, 0);
  if (!hasMagic(bytes)) {
    throw new LamellaError('WRONG_FORMAT', 'this is no shelf image', { location, offset: 0 });
  }
  const view = viewOf(bytes);
  const clusterSize = view.getUint32(8, true);
  const nameLength = view.getUint32(12, true);
  const size = readUint64(view, 16, 'little', { name: 'the disk size', location });
  const tableOffset = readUint64(view, 24, 'little', { name: 'the table offset', location });
  const invalid = (problem: string, offset: number) =>
    new LamellaError('INVALID_HEADER', problem, { location, offset });
  if (!isPowerOfTwo(clusterSize) || clusterSize < HEADER_LENGTH || clusterSize > 1024 * 1024) {
    throw invalid(`a cluster can't have ${clusterSize} bytes`, 8);
  }
  if (nameLength > MAX_NAME) {
    throw invalid(`the backing file's name can't have ${nameLength} bytes`, 12);
  }
  const entries = entriesFor(size, clusterSize);
  if (entries > MAX_ENTRIES) {
    throw new LamellaError('LIMIT_EXCEEDED', `${entries} clusters are too many`, { location });
  }
  if (tableOffset === 0 || tableOffset % clusterSize !== 0) {
    throw invalid(`the table can't begin at byte ${tableOffset}`, 24);
  }
  if (tableOffset + entries * 4 > storage.size) {
    throw new LamellaError('TRUNCATED', 'the file ends within its table', {
      location,
      offset: storage.size,
    });
  }
  const backing = new TextDecoder().decode(bytes.subarray(32, 32 + nameLength));
  return { clusterSize, size, tableOffset, backing };
}

/** Reads the table, whose place the header's check has found to be inside the file. */
export async function readTable(storage: Storage, header: Header): Promise<Uint32Array> {
  const length = entriesFor(header.size, header.clusterSize);
  const bytes = new Uint8Array(length * 4);
  await storage.read(bytes, header.tableOffset);
  const view = viewOf(bytes);
  return Uint32Array.from({ length }, (_, index) => view.getUint32(index * 4, true));
}

/** @throws LamellaError `INVALID_ARGUMENT` for no name at all, `LIMIT_EXCEEDED` for one that the header has no room for */
export function checkBacking(backing: Reference | undefined): void {
  const length = new TextEncoder().encode(backing?.location).length;
  if (backing !== undefined && length === 0) {
    throw new LamellaError('INVALID_ARGUMENT', 'the backing file has no name');
  }
  if (length > MAX_NAME) {
    throw new LamellaError('LIMIT_EXCEEDED', "the backing file's name is too long", {
      hint: `There is room for ${MAX_NAME} bytes.`,
    });
  }
}

/** The header as a sector. */
export function encodeHeader({ clusterSize, size, tableOffset, backing }: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_LENGTH);
  const name = new TextEncoder().encode(backing);
  const view = viewOf(bytes);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, clusterSize, true);
  view.setUint32(12, name.length, true);
  writeUint64(view, 16, size, 'little');
  writeUint64(view, 24, tableOffset, 'little');
  bytes.set(name, 32);
  return bytes;
}
