import {
  alignUp,
  type BlockDriver,
  type CreateOptions,
  type Image,
  isPowerOfTwo,
  LamellaError,
  type OpenOptions,
  type OptionSchema,
  parseOptions,
  type Storage,
  viewOf,
} from '@lamella/core';
import { SlabImage } from './slab-image.js';

/** Layout: one sector of header, the table of 32-bit entries, then clusters. All numbers little-endian. */
export const MAGIC = 0x42414c53;
export const FIELD = { magic: 0, clusterSize: 4, size: 8, nameLength: 16, name: 20 } as const;
export const SECTOR = 512;
const MAX_NAME = 400;
const MAX_ENTRIES = 65536;

/** The header of a slab image. */
export interface SlabHeader {
  readonly clusterSize: number;
  readonly size: number;
  readonly backing: string | undefined;
}

/** Where the first cluster begins. */
export function dataStart({ size, clusterSize }: SlabHeader): number {
  return alignUp(SECTOR + Math.ceil(size / clusterSize) * 4, SECTOR);
}

const CREATE_OPTIONS: OptionSchema = {
  cluster_size: { type: 'size', description: 'Bytes of a cluster', default: 4096 },
};

/**
 * A small, complete and crash-safe format for the kit's own tests: a flat table in which 0 is unallocated, 1 is
 * zero, and n is cluster n - 2 of the file.
 */
export class SlabDriver implements BlockDriver {
  readonly format: string = 'slab';
  readonly createOptions: OptionSchema = CREATE_OPTIONS;
  readonly openOptions: OptionSchema = {};
  readonly supportsBacking: boolean = true;

  probe(head: Uint8Array): number {
    return head.length >= 4 && viewOf(head).getUint32(FIELD.magic, true) === MAGIC ? 100 : 0;
  }

  async open(storage: Storage, { writable, options }: OpenOptions): Promise<Image> {
    parseOptions(this.openOptions, options ?? {}, 'opening a slab image');
    const header = await readHeader(storage);
    const entries = new Uint32Array(Math.ceil(header.size / header.clusterSize));
    const bytes = new Uint8Array(entries.length * 4);
    await storage.read(bytes, SECTOR);
    for (const [index] of entries.entries()) {
      entries[index] = viewOf(bytes).getUint32(index * 4, true);
    }
    return new SlabImage({ storage, header, entries, writable });
  }

  validateCreate({ size, options, backing }: CreateOptions): void {
    const clusterSize = Number(options.cluster_size);
    const name = backing === undefined ? 1 : new TextEncoder().encode(backing.location).length;
    if (!isPowerOfTwo(clusterSize) || clusterSize < SECTOR || clusterSize > 2 ** 20) {
      throw new LamellaError('INVALID_ARGUMENT', `a cluster can't have ${clusterSize} bytes`);
    }
    if (!Number.isInteger(size) || size < 0) {
      throw new LamellaError('INVALID_ARGUMENT', `a disk can't have ${size} bytes`);
    }
    if (Math.ceil(size / clusterSize) > MAX_ENTRIES || name < 1 || name > MAX_NAME) {
      throw new LamellaError(
        'LIMIT_EXCEEDED',
        'the disk or the name of the backing file is too long',
      );
    }
  }

  async create(storage: Storage, options: CreateOptions): Promise<void> {
    this.validateCreate(options);
    const header = {
      clusterSize: Number(options.options.cluster_size),
      size: options.size,
      backing: options.backing?.location,
    };
    await storage.truncate(dataStart(header));
    await storage.write(encodeHeader(header), 0);
    await storage.flush();
  }
}

function encodeHeader({ clusterSize, size, backing = '' }: SlabHeader): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const name = new TextEncoder().encode(backing);
  const view = viewOf(bytes);
  view.setUint32(FIELD.magic, MAGIC, true);
  view.setUint32(FIELD.clusterSize, clusterSize, true);
  view.setFloat64(FIELD.size, size, true);
  view.setUint32(FIELD.nameLength, name.length, true);
  bytes.set(name, FIELD.name);
  return bytes;
}

async function readHeader(storage: Storage): Promise<SlabHeader> {
  const { location } = storage;
  const bytes = new Uint8Array(SECTOR);
  await storage.read(bytes, 0);
  const view = viewOf(bytes);
  if (view.getUint32(FIELD.magic, true) !== MAGIC) {
    throw new LamellaError('WRONG_FORMAT', 'this is no slab image', { location });
  }
  const clusterSize = view.getUint32(FIELD.clusterSize, true);
  const size = view.getFloat64(FIELD.size, true);
  const length = view.getUint32(FIELD.nameLength, true);
  if (
    !isPowerOfTwo(clusterSize) ||
    clusterSize < SECTOR ||
    !Number.isSafeInteger(size) ||
    size < 0
  ) {
    throw new LamellaError('INVALID_HEADER', 'the sizes make no sense', { location });
  }
  if (size / clusterSize > MAX_ENTRIES || length > MAX_NAME) {
    throw new LamellaError('LIMIT_EXCEEDED', 'the disk or the name is too long', { location });
  }
  const name = bytes.slice(FIELD.name, FIELD.name + length);
  const header = {
    clusterSize,
    size,
    backing: length === 0 ? undefined : new TextDecoder().decode(name),
  };
  if (storage.size < dataStart(header)) {
    throw new LamellaError('TRUNCATED', 'the table is cut', { location });
  }
  return header;
}
