import { type CreateSnapshotOptions, LamellaError, viewOf, writeUint64 } from '@lamella/core';
import { MAX_SNAPSHOTS } from '../header/header.js';
import { ENTRY_FIELD, EXTRA_FIELD, FIXED_LENGTH, MAX_TABLE, serialiseEntry } from './entry.js';
import type { Snapshot, SnapshotTable } from './table.js';

/** Longest name in bytes of UTF-8: QEMU's tools cut longer ones. */
const MAX_NAME = 255;
/** Extra data that is written, like QEMU: up to the icount. */
const WRITTEN_EXTRA = 24;

/** What a new entry is to say beside what the caller wants. */
export interface NewEntry {
  readonly l1Offset: number;
  readonly l1Size: number;
  /** Bytes. */
  readonly diskSize: number;
}

/** Name and date of a snapshot, found to be storable. */
export interface SnapshotLabel {
  readonly name: Uint8Array;
  /** Seconds since 1970, and nanoseconds within the second. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

/**
 * Checks what a new snapshot is to be called.
 *
 * @throws LamellaError `INVALID_ARGUMENT`
 */
export function labelOf(options: CreateSnapshotOptions, location: string): SnapshotLabel {
  const name = new TextEncoder().encode(options.name);
  if (
    name.length > MAX_NAME ||
    new TextDecoder().decode(name) !== options.name ||
    name.includes(0)
  ) {
    throw new LamellaError('INVALID_ARGUMENT', 'a snapshot cannot have this name', {
      location,
      hint: `Use at most ${MAX_NAME} bytes of UTF-8 without zero bytes.`,
    });
  }
  const milliseconds = (options.date ?? new Date()).getTime();
  const seconds = Math.floor(milliseconds / 1000);
  if (!(seconds >= 0 && seconds <= 0xffff_ffff)) {
    throw new LamellaError('INVALID_ARGUMENT', 'a snapshot cannot have this date', {
      location,
      hint: 'Use one from 1970 to 2106.',
    });
  }
  return { name, seconds, nanoseconds: (milliseconds - seconds * 1000) * 1_000_000 };
}

/**
 * Makes the entry of a new snapshot, with the bytes that qemu-img would write.
 *
 * @param id - from {@link nextId}
 */
export function newEntry(
  id: string,
  { name, seconds, nanoseconds }: SnapshotLabel,
  { l1Offset, l1Size, diskSize }: NewEntry,
): Uint8Array {
  const fixed = new Uint8Array(FIXED_LENGTH);
  const view = viewOf(fixed);
  writeUint64(view, ENTRY_FIELD.l1Offset, l1Offset, 'big');
  view.setUint32(ENTRY_FIELD.l1Size, l1Size);
  view.setUint32(ENTRY_FIELD.dateSeconds, seconds);
  view.setUint32(ENTRY_FIELD.dateNanoseconds, nanoseconds);
  const extra = new Uint8Array(WRITTEN_EXTRA);
  // No machine ran: its clock, its state and, as in qemu-img, its instruction count stay 0.
  writeUint64(viewOf(extra), EXTRA_FIELD.diskSize, diskSize, 'big');
  return serialiseEntry({ fixed, extra, id: new TextEncoder().encode(id), name });
}

/** The identifier of the next snapshot: one more than the highest number in use, as in QEMU. */
export function nextId(snapshots: readonly Snapshot[]): string {
  let highest = 0n;
  for (const { info } of snapshots) {
    const digits = /^\d+/.exec(info.id)?.[0];
    const id = digits === undefined ? 0n : BigInt(digits.slice(0, 20));
    highest = id > highest ? id : highest;
  }
  return String(highest + 1n);
}

/**
 * Refuses one snapshot too many.
 *
 * @throws LamellaError `LIMIT_EXCEEDED`
 */
export function assertRoom(table: SnapshotTable, label: SnapshotLabel, location: string): void {
  const place = { l1Offset: 0, l1Size: 0, diskSize: 0 };
  const added = newEntry(nextId(table.snapshots), label, place).length;
  if (table.snapshots.length >= MAX_SNAPSHOTS || table.length + added > MAX_TABLE) {
    throw new LamellaError('LIMIT_EXCEEDED', 'the image can hold no more snapshots', {
      location,
      hint: 'Delete some first.',
    });
  }
}
