import { type Storage, viewOf } from '@lamella/core';
import { Geometry } from '../geometry.js';
import { ownedHigh, ownedLow, ZERO_FLAG } from '../mapping/l2-entry.js';
import { ALL_SUBCLUSTERS } from '../mapping/subclusters.js';
import type { Layout } from './layout.js';

/**
 * Writes L1 and L2 tables that map every guest cluster to its place in the external data file, so that
 * the disk shows what that file holds. With encryption the clusters are marked as zeroes: nothing that is
 * in the file yet could be deciphered. Extended entries have no subcluster in use where the data file is not
 * raw, so that a backing file shows through.
 *
 * @throws LamellaError as `Storage.write`
 */
export async function writeIdentityTables(
  storage: Storage,
  { header, l2Offset, dataFile }: Layout,
): Promise<void> {
  const geometry = new Geometry(header);
  const { clusterSize, l2Span, l2EntrySize } = geometry;
  const l1 = new Uint8Array(header.l1Size * 8);
  const table = new Uint8Array(clusterSize);
  const view = viewOf(table);
  const l1View = viewOf(l1);
  const zero = header.cryptMethod !== 0;
  for (let index = 0; index < header.l1Size; index += 1) {
    const position = l2Offset + index * clusterSize;
    setOwned(l1View, index * 8, position, 0);
    table.fill(0);
    const end = Math.min(header.size, (index + 1) * l2Span);
    for (let guest = index * l2Span, at = 0; guest < end; guest += clusterSize, at += l2EntrySize) {
      setOwned(view, at, guest, zero && !geometry.extended ? ZERO_FLAG : 0);
      if (geometry.extended && dataFile?.raw === true) {
        view.setUint32(at + (zero ? 8 : 12), ALL_SUBCLUSTERS);
      }
    }
    await storage.write(table, position);
  }
  await storage.write(l1, header.l1Offset);
}

function setOwned(view: DataView, at: number, offset: number, flags: number): void {
  view.setUint32(at, ownedHigh(offset));
  view.setUint32(at + 4, ownedLow(offset) | flags);
}
