import { type Storage, viewOf } from '@lamella/core';
import { corrupt } from '../errors.js';
import { type Header, MAX_L1_BYTES } from '../header/header.js';
import { hostOffset } from '../mapping/l2-entry.js';
import { l1Of } from '../snapshots/entry.js';
import type { WriteParts } from '../write-parts.js';
import { readSnapshotEntries } from './snapshot-entries.js';

const CHUNK = 256 * 1024;

/**
 * Every L2 table of an image, those of snapshots included, once each.
 *
 * @returns byte offsets, each with the index of the L1 entry that refers to it
 * @throws LamellaError `CORRUPT` for an L1 entry or table that can't be, and as `Storage.read`
 */
export async function allL2Tables(
  parts: WriteParts,
  header: Header,
): Promise<ReadonlyMap<number, number>> {
  const { storage, l1, tables } = parts;
  const found = new Map<number, number>();
  for (let index = 0; index < l1.length; index += 1) {
    const offset = tables.offset(index);
    if (offset !== 0) {
      found.set(offset, index);
    }
  }
  for (const entry of await readSnapshotEntries(storage, header)) {
    const { l1Offset, l1Size } = l1Of(entry);
    if (l1Size * 8 > MAX_L1_BYTES || l1Offset + l1Size * 8 > storage.size) {
      throw corrupt(storage.location, l1Offset, `a snapshot's L1 table has ${l1Size} entries`);
    }
    await addTables(storage, l1Offset, l1Size * 8, parts.geometry.clusterSize, found);
  }
  return found;
}

async function addTables(
  storage: Storage,
  start: number,
  length: number,
  clusterSize: number,
  found: Map<number, number>,
): Promise<void> {
  for (let at = 0; at < length; at += CHUNK) {
    const piece = new Uint8Array(Math.min(CHUNK, length - at));
    await storage.read(piece, start + at);
    const view = viewOf(piece);
    for (let entry = 0; entry < piece.length; entry += 8) {
      const offset = hostOffset(view.getUint32(entry), view.getUint32(entry + 4));
      if (offset % clusterSize !== 0 || offset >= storage.size) {
        throw corrupt(storage.location, start + at + entry, "a snapshot's L1 entry is invalid");
      }
      if (offset !== 0 && !found.has(offset)) {
        found.set(offset, (at + entry) / 8);
      }
    }
  }
}
