import { type Storage, viewOf } from '@lamella/core';
import { FIELD, MAX_SNAPSHOTS } from '../header/header.js';
import { EntryReader, l1Of } from '../snapshots/entry.js';

const TWO_32 = 0x1_0000_0000;

/** A range of the file that holds metadata, in bytes. */
export interface Region {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * Where the snapshot table and the snapshots' L1 tables are, as the file says now. Damage ends the list.
 *
 * @param clusterSize - bytes
 * @throws LamellaError as `Storage.read`
 */
export async function snapshotRegions(storage: Storage, clusterSize: number): Promise<Region[]> {
  const pointer = new Uint8Array(12);
  await storage.read(pointer, FIELD.snapshotCount);
  const count = viewOf(pointer).getUint32(0);
  const start = viewOf(pointer).getUint32(4) * TWO_32 + viewOf(pointer).getUint32(8);
  const regions: Region[] = [];
  const reader = new EntryReader((buffer, offset) => storage.read(buffer, offset), start);
  for (let index = 0; index < count && index < MAX_SNAPSHOTS; index += 1) {
    if (reader.position >= storage.size) {
      break;
    }
    const { l1Offset: offset, l1Size } = l1Of(await reader.next());
    const length = l1Size * 8;
    if (offset % clusterSize === 0 && offset + length <= storage.size) {
      regions.push({ name: `L1 table of snapshot ${index + 1}`, offset, length });
    }
  }
  if (count > 0 && start < storage.size) {
    const end = Math.min(reader.position, storage.size);
    regions.push({ name: 'snapshot table', offset: start, length: end - start });
  }
  return regions;
}
