import { alignUp, type Storage, viewOf } from '@lamella/core';
import { corrupt } from '../errors.js';
import type { Header } from '../header/header.js';

const TWO_32 = 0x1_0000_0000;
/** Fixed bytes of an entry, and most bytes of its extra data and of the table that are taken. */
const FIXED = 40;
const MAX_EXTRA = 1024;
const MAX_TABLE = 64 * 1024 * 1024;
/** Extra data that version 3 wants: size of the machine state, size of the disk. */
const KNOWN_EXTRA = 16;

/** An entry of the snapshot table, as far as a change of the version needs it. */
export interface SnapshotEntry {
  readonly l1Offset: number;
  /** Entries. */
  readonly l1Size: number;
  /** Bytes. */
  readonly vmStateSize: number;
  /** Bytes; undefined where the entry does not say. */
  readonly diskSize: number | undefined;
  /** The entry as stored, padding included. */
  readonly bytes: Uint8Array;
}

/**
 * Reads the snapshot table (specification: "Snapshots").
 *
 * @throws LamellaError `CORRUPT` for one that can't be, and as `Storage.read`
 */
export async function readSnapshotTable(
  storage: Storage,
  header: Header,
): Promise<SnapshotEntry[]> {
  const entries: SnapshotEntry[] = [];
  let at = header.snapshotsOffset;
  for (let index = 0; index < header.snapshotCount; index += 1) {
    const fixed = new Uint8Array(FIXED);
    await storage.read(fixed, at);
    const view = viewOf(fixed);
    const extra = view.getUint32(36);
    const length = alignUp(FIXED + extra + view.getUint16(12) + view.getUint16(14), 8);
    const end = at + length;
    if (
      extra > MAX_EXTRA ||
      end - header.snapshotsOffset > MAX_TABLE ||
      end > alignUp(storage.size, 8)
    ) {
      throw corrupt(storage.location, at, `entry ${index} of the snapshot table makes no sense`);
    }
    const bytes = new Uint8Array(length);
    await storage.read(bytes, at);
    const whole = viewOf(bytes);
    entries.push({
      l1Offset: view.getUint32(0) * TWO_32 + view.getUint32(4),
      l1Size: view.getUint32(8),
      vmStateSize:
        extra >= 8
          ? whole.getUint32(FIXED) * TWO_32 + whole.getUint32(FIXED + 4)
          : view.getUint32(32),
      diskSize:
        extra >= KNOWN_EXTRA
          ? whole.getUint32(FIXED + 8) * TWO_32 + whole.getUint32(FIXED + 12)
          : undefined,
      bytes,
    });
    at = end;
  }
  return entries;
}

/**
 * An entry with the extra data that version 3 wants.
 *
 * @param diskSize - of an entry that has none, in bytes
 */
export function completed(entry: SnapshotEntry, diskSize: number): Uint8Array {
  if (entry.diskSize !== undefined) {
    return entry.bytes;
  }
  const view = viewOf(entry.bytes);
  const extra = view.getUint32(36);
  const names = view.getUint16(12) + view.getUint16(14);
  const bytes = new Uint8Array(alignUp(FIXED + KNOWN_EXTRA + names, 8));
  bytes.set(entry.bytes.subarray(0, FIXED));
  const at = FIXED + extra;
  bytes.set(entry.bytes.subarray(at, at + names), FIXED + KNOWN_EXTRA);
  const made = viewOf(bytes);
  made.setUint32(36, KNOWN_EXTRA);
  made.setUint32(FIXED, Math.floor(entry.vmStateSize / TWO_32));
  made.setUint32(FIXED + 4, entry.vmStateSize % TWO_32);
  made.setUint32(FIXED + 8, Math.floor(diskSize / TWO_32));
  made.setUint32(FIXED + 12, diskSize % TWO_32);
  return bytes;
}
