import { LamellaError, readUint64, type Storage, viewOf } from '@lamella/core';
import type { Partition } from './partitions.js';

const SIGNATURE = 'EFI PART';
const MAX_ENTRIES = 1024;
const MIN_ENTRY = 128;
const MAX_ENTRY = 4096;

interface GptHeader {
  readonly entries: number;
  readonly count: number;
  readonly entrySize: number;
}

/** The partitions of a GUID partition table; of its copy at the disk's end where the first is damaged. */
export async function gptPartitions(storage: Storage, sectorSize: number): Promise<Partition[]> {
  const last = Math.floor(storage.size / sectorSize) - 1;
  const header =
    (await readHeader(storage, sectorSize, 1)) ?? (await readHeader(storage, sectorSize, last));
  if (header === undefined) {
    throw new LamellaError('INVALID_HEADER', 'neither copy of the GUID partition table is sound', {
      location: storage.location,
      offset: sectorSize,
      hint: 'The table is damaged, or sectors of the disk have another size.',
    });
  }
  const { entries, count, entrySize } = header;
  const bytes = new Uint8Array(count * entrySize);
  await storage.read(bytes, entries);
  const found: Partition[] = [];
  for (let index = 0; index < count; index += 1) {
    const entry = bytes.subarray(index * entrySize, (index + 1) * entrySize);
    const partition = parseEntry(entry, index + 1, sectorSize, storage.location);
    if (partition !== undefined) {
      found.push(partition);
    }
  }
  return found;
}

async function readHeader(
  storage: Storage,
  sectorSize: number,
  sector: number,
): Promise<GptHeader | undefined> {
  if (sector < 1) {
    return undefined;
  }
  const bytes = new Uint8Array(sectorSize);
  await storage.read(bytes, sector * sectorSize);
  const view = viewOf(bytes);
  const { location } = storage;
  const length = view.getUint32(12, true);
  if (
    new TextDecoder('latin1').decode(bytes.subarray(0, 8)) !== SIGNATURE ||
    length < 92 ||
    length > sectorSize ||
    view.getUint32(16, true) !== headerSum(bytes, length)
  ) {
    return undefined;
  }
  const count = view.getUint32(80, true);
  const entrySize = view.getUint32(84, true);
  if (count > MAX_ENTRIES || entrySize < MIN_ENTRY || entrySize > MAX_ENTRY) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `${count} partitions of ${entrySize} bytes each are more than a table can have`,
      { location, offset: sector * sectorSize + 80, hint: 'The table is damaged.' },
    );
  }
  const first = readUint64(view, 72, 'little', { name: 'the place of the partitions', location });
  const entries = first * sectorSize;
  return entries + count * entrySize > storage.size ? undefined : { entries, count, entrySize };
}

/** The header's checksum counts with its own field zeroed. */
function headerSum(sector: Uint8Array, length: number): number {
  const copy = sector.slice(0, length);
  copy.fill(0, 16, 20);
  return crc32(copy);
}

function parseEntry(
  entry: Uint8Array,
  number: number,
  sectorSize: number,
  location: string,
): Partition | undefined {
  if (entry.subarray(0, 16).every((byte) => byte === 0)) {
    return undefined;
  }
  const view = viewOf(entry);
  const first = readUint64(view, 32, 'little', {
    name: `the start of partition ${number}`,
    location,
  });
  const last = readUint64(view, 40, 'little', { name: `the end of partition ${number}`, location });
  return {
    number,
    offset: first * sectorSize,
    length: (last - first + 1) * sectorSize,
    type: guid(view),
    name: new TextDecoder('utf-16le').decode(entry.subarray(56, 128)).replace(/\0.*$/s, ''),
  };
}

/** A GUID as it is written: the first three groups are little-endian. */
function guid(view: DataView): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  const rest = Array.from({ length: 8 }, (_, i) => hex(view.getUint8(8 + i), 2)).join('');
  return [
    hex(view.getUint32(0, true), 8),
    hex(view.getUint16(4, true), 4),
    hex(view.getUint16(6, true), 4),
    rest.slice(0, 4),
    rest.slice(4),
  ].join('-');
}

/** CRC-32 as GPT and Ethernet have it. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
    }
  }
  return ~crc >>> 0;
}
