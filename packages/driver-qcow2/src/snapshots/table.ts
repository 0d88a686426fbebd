import { LamellaError, readUint64, type SnapshotInfo, type Storage, viewOf } from '@lamella/core';
import { corrupt } from '../errors.js';
import { FIELD, type Header, MAX_L1_BYTES } from '../header/header.js';
import {
  ENTRY_FIELD,
  EntryReader,
  EXTRA_FIELD,
  MAX_EXTRA,
  MAX_TABLE,
  type StoredEntry,
  serialiseEntry,
} from './entry.js';

const DECODER = new TextDecoder();

/** ICOUNT of a snapshot for which it was not recorded. */
const NO_ICOUNT = 0xffff_ffff_ffff_ffffn;

/** A snapshot as the table has it. */
export interface Snapshot {
  readonly info: SnapshotInfo;
  readonly l1Offset: number;
  /** Entries of its L1 table. */
  readonly l1Size: number;
  /** The entry as it is stored: what is unknown in it stays when the table is written anew. */
  readonly bytes: Uint8Array;
}

/** The snapshot table of an image. */
export interface SnapshotTable {
  readonly snapshots: readonly Snapshot[];
  /** Bytes that it takes in the file. */
  readonly length: number;
}

/**
 * Reads the snapshot table: at most 64 MiB.
 *
 * @throws LamellaError `LIMIT_EXCEEDED`, `TRUNCATED`, `IO_ERROR`
 */
export async function readSnapshotTable(storage: Storage, header: Header): Promise<SnapshotTable> {
  const { snapshotCount, snapshotsOffset } = header;
  const reader = new EntryReader((buffer, offset) => storage.read(buffer, offset), snapshotsOffset);
  const snapshots: Snapshot[] = [];
  for (let index = 0; index < snapshotCount; index += 1) {
    const at = reader.position;
    const entry = await reader.next();
    assertBearable(entry, { index, at, storage, header });
    snapshots.push(interpret(entry, header, storage.location, at));
  }
  return { snapshots, length: reader.position - snapshotsOffset };
}

interface EntryPlace {
  readonly index: number;
  readonly at: number;
  readonly storage: Storage;
  readonly header: Header;
}

function assertBearable(entry: StoredEntry, { index, at, storage, header }: EntryPlace): void {
  const { location } = storage;
  if (entry.extraLength > MAX_EXTRA) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `snapshot table entry ${index} has ${entry.extraLength} bytes of extra data`,
      { location, offset: at, hint: `At most ${MAX_EXTRA} are supported; check the image.` },
    );
  }
  if (at + entry.length - header.snapshotsOffset > MAX_TABLE) {
    throw new LamellaError('LIMIT_EXCEEDED', 'the snapshot table has more than 64 MiB', {
      location,
      offset: FIELD.snapshotCount,
      hint: 'Check the image (qemu-img check) or restore it from a backup.',
    });
  }
  if (at + entry.length > storage.size) {
    throw new LamellaError(
      'TRUNCATED',
      `snapshot table entry ${index} reaches behind the end of the file`,
      {
        location,
        offset: at,
        hint: `The header says that there are ${header.snapshotCount} snapshots; the file is incomplete.`,
      },
    );
  }
}

function interpret(entry: StoredEntry, header: Header, location: string, at: number): Snapshot {
  const { fixed, extra } = entry;
  const view = viewOf(fixed);
  const extraView = viewOf(extra);
  const number = (from: DataView, position: number, name: string) =>
    readUint64(from, position, 'big', { name: `${name} at byte ${at}`, location });
  const seconds = view.getUint32(ENTRY_FIELD.dateSeconds);
  const nanoseconds = view.getUint32(ENTRY_FIELD.dateNanoseconds);
  const icount =
    extra.length >= EXTRA_FIELD.icount + 8 ? extraView.getBigUint64(EXTRA_FIELD.icount) : NO_ICOUNT;
  return {
    info: {
      id: DECODER.decode(entry.id),
      name: DECODER.decode(entry.name),
      vmStateSize:
        extra.length >= EXTRA_FIELD.vmStateSize + 8
          ? number(extraView, EXTRA_FIELD.vmStateSize, 'the VM state size of the snapshot')
          : view.getUint32(ENTRY_FIELD.vmStateSize),
      // Without a size of its own, the snapshot is as large as the disk is now.
      diskSize:
        extra.length >= EXTRA_FIELD.diskSize + 8
          ? number(extraView, EXTRA_FIELD.diskSize, 'the disk size of the snapshot')
          : header.size,
      date: new Date(seconds * 1000 + Math.floor(nanoseconds / 1_000_000)),
      dateNanoseconds: nanoseconds,
      vmClock: view.getBigUint64(ENTRY_FIELD.vmClock),
      icount: icount === NO_ICOUNT ? undefined : icount,
    },
    l1Offset: number(view, ENTRY_FIELD.l1Offset, 'the L1 table offset of the snapshot'),
    l1Size: view.getUint32(ENTRY_FIELD.l1Size),
    bytes: serialiseEntry(entry),
  };
}

/**
 * Checks where a snapshot's L1 table is, before memory is taken for it.
 *
 * @param needed - entries that it must have at least
 * @throws LamellaError `CORRUPT`, `LIMIT_EXCEEDED`
 */
export function assertL1(
  { info, l1Offset, l1Size }: Snapshot,
  needed: number,
  clusterSize: number,
  storage: Storage,
): void {
  const { location } = storage;
  if (l1Size * 8 > MAX_L1_BYTES) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `the L1 table of snapshot ${info.id} has ${l1Size} entries`,
      { location, offset: l1Offset, hint: `At most ${MAX_L1_BYTES / 8} are supported.` },
    );
  }
  if (l1Size < needed) {
    throw corrupt(
      location,
      l1Offset,
      `the L1 table of snapshot ${info.id} has ${l1Size} entries, too few for a disk of ${info.diskSize} bytes`,
    );
  }
  if (l1Size > 0 && (l1Offset === 0 || l1Offset % clusterSize !== 0)) {
    throw corrupt(location, l1Offset, `the L1 table of snapshot ${info.id} is not aligned`);
  }
  if (l1Size > 0 && l1Offset + l1Size * 8 > storage.size) {
    throw corrupt(
      location,
      l1Offset,
      `the L1 table of snapshot ${info.id} reaches behind the end of the file`,
    );
  }
}
