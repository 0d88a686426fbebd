import { alignUp, viewOf } from '@lamella/core';
import { MAX_SNAPSHOTS } from '../header/header.js';
import type { CheckRun } from './check-run.js';

/** Fixed bytes of an entry, and of its extra data in version 3. */
const FIXED = 40;
const KNOWN_EXTRA = 16;
/** Most bytes of extra data that QEMU reads, and of the whole table. */
const MAX_EXTRA = 1024;
const MAX_TABLE = 64 * 1024 * 1024;

/** An entry of the snapshot table, as far as a check needs it (specification: "Snapshots"). */
export interface CheckedSnapshot {
  /** For messages. */
  readonly name: string;
  readonly l1Offset: number;
  readonly l1Size: number;
  /** The entry as it is to be stored by a repair. */
  readonly bytes: Uint8Array;
}

/** What the table said, and whether a repair is to store it anew. */
export interface SnapshotTableReport {
  readonly corruptions: number;
  /** The table can't be read; the check can't know what snapshots refer to. */
  readonly unreadable: boolean;
  /** Entries that were left out. */
  readonly discarded: number;
}

/**
 * Reads the snapshot table. What lies behind the file's end reads as zeroes, as in QEMU: such entries
 * are incomplete ones without a table.
 *
 * @throws LamellaError `ABORTED`, and as `Storage.read`
 */
export async function readSnapshots(run: CheckRun): Promise<SnapshotTableReport> {
  const { header, tally, geometry } = run;
  if (header.snapshotCount === 0) {
    return { corruptions: 0, unreadable: false, discarded: 0 };
  }
  const start = header.snapshotsOffset;
  if (start % geometry.clusterSize !== 0) {
    tally.error(`the snapshot table is at byte ${start}, which is not aligned`, 64);
    return { corruptions: 0, unreadable: true, discarded: 0 };
  }
  const repair = run.repair === 'all';
  const before = tally.corruptions;
  const count = Math.min(header.snapshotCount, repair ? MAX_SNAPSHOTS : header.snapshotCount);
  if (count > MAX_SNAPSHOTS) {
    tally.error(
      `the snapshot table has ${count} entries; at most ${MAX_SNAPSHOTS} are allowed`,
      60,
    );
    return { corruptions: 0, unreadable: true, discarded: 0 };
  }
  if (count < header.snapshotCount) {
    tally.corruptions += header.snapshotCount - count;
  }
  const snapshots: CheckedSnapshot[] = [];
  let at = start;
  for (let index = 0; index < count; index += 1) {
    run.step();
    const entry = await readEntry(run, at);
    if (entry.extra > MAX_EXTRA) {
      const problem = `snapshot table entry ${index} has ${entry.extra} bytes of extra data`;
      if (!repair) {
        tally.error(problem, at);
        return { corruptions: tally.corruptions - before, unreadable: true, discarded: 0 };
      }
      tally.corruption(problem, at);
    }
    if (entry.end - start > MAX_TABLE) {
      if (!repair) {
        tally.error('the snapshot table has more than 64 MiB', at);
        return { corruptions: tally.corruptions - before, unreadable: true, discarded: 0 };
      }
      tally.corruptions += count - index;
      break;
    }
    snapshots.push(entry.snapshot);
    if (header.version === 3 && entry.extra < KNOWN_EXTRA) {
      tally.corruption(`snapshot table entry ${index} is incomplete`, at);
    }
    at = entry.end;
  }
  run.snapshots = snapshots;
  run.snapshotBytes = at - start;
  const discarded = header.snapshotCount - snapshots.length;
  return { corruptions: tally.corruptions - before, unreadable: false, discarded };
}

async function readEntry(run: CheckRun, at: number) {
  const fixed = new Uint8Array(FIXED);
  await run.read(fixed, at);
  const view = viewOf(fixed);
  const extra = view.getUint32(36);
  const id = view.getUint16(12);
  const name = view.getUint16(14);
  const kept = new Uint8Array(Math.min(extra, MAX_EXTRA));
  await run.read(kept, at + FIXED);
  const names = new Uint8Array(id + name);
  await run.read(names, at + FIXED + extra);
  const decoder = new TextDecoder();
  return {
    extra,
    end: alignUp(at + FIXED + extra + id + name, 8),
    snapshot: {
      name: `${decoder.decode(names.subarray(0, id))} (${decoder.decode(names.subarray(id))})`,
      l1Offset: view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4),
      l1Size: view.getUint32(8),
      bytes: stored(run, fixed, kept, names),
    },
  };
}

/** The entry with the extra data that version 3 wants, padded to 8 bytes. */
function stored(
  run: CheckRun,
  fixed: Uint8Array,
  extra: Uint8Array,
  names: Uint8Array,
): Uint8Array {
  const fill = run.header.version === 3 && extra.length < KNOWN_EXTRA;
  const extraLength = fill ? KNOWN_EXTRA : extra.length;
  const bytes = new Uint8Array(alignUp(FIXED + extraLength + names.length, 8));
  bytes.set(fixed);
  bytes.set(extra, FIXED);
  bytes.set(names, FIXED + extraLength);
  const view = viewOf(bytes);
  view.setUint32(36, extraLength);
  if (fill) {
    if (extra.length < 8) {
      view.setUint32(FIXED + 4, viewOf(fixed).getUint32(32));
    }
    // Without a size of its own, the snapshot is as large as the disk is now.
    view.setUint32(FIXED + 8, Math.floor(run.header.size / 0x1_0000_0000));
    view.setUint32(FIXED + 12, run.header.size % 0x1_0000_0000);
  }
  return bytes;
}
