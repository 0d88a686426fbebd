import { alignUp, type Storage } from '@lamella/core';
import { corrupt } from '../errors.js';
import type { Header } from '../header/header.js';
import { EntryReader, MAX_EXTRA, MAX_TABLE, type StoredEntry } from '../snapshots/entry.js';

/**
 * Reads the entries of the snapshot table, all of which a change of the image has to know.
 *
 * @throws LamellaError `CORRUPT` for a table that can't be, and as `Storage.read`
 */
export async function readSnapshotEntries(
  storage: Storage,
  { snapshotsOffset, snapshotCount }: Header,
): Promise<StoredEntry[]> {
  const reader = new EntryReader((buffer, offset) => storage.read(buffer, offset), snapshotsOffset);
  const entries: StoredEntry[] = [];
  for (let index = 0; index < snapshotCount; index += 1) {
    const at = reader.position;
    const entry = await reader.next();
    if (
      entry.extraLength > MAX_EXTRA ||
      reader.position - snapshotsOffset > MAX_TABLE ||
      reader.position > alignUp(storage.size, 8)
    ) {
      throw corrupt(storage.location, at, `entry ${index} of the snapshot table makes no sense`);
    }
    entries.push(entry);
  }
  return entries;
}
