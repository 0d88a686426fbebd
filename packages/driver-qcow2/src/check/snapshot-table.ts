import { type Header, MAX_SNAPSHOTS } from '../header/header.js';
import {
  completeExtra,
  EntryReader,
  l1Of,
  MAX_EXTRA,
  MAX_TABLE,
  REQUIRED_EXTRA,
  type StoredEntry,
  serialiseEntry,
} from '../snapshots/entry.js';
import type { CheckRun } from './check-run.js';

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
  let length = 0;
  const reader = new EntryReader((buffer, offset) => run.read(buffer, offset), start);
  for (let index = 0; index < count; index += 1) {
    run.step();
    const at = reader.position;
    const entry = await reader.next();
    if (entry.extraLength > MAX_EXTRA) {
      const problem = `snapshot table entry ${index} has ${entry.extraLength} bytes of extra data`;
      if (!repair) {
        tally.error(problem, at);
        return { corruptions: tally.corruptions - before, unreadable: true, discarded: 0 };
      }
      tally.corruption(problem, at);
    }
    if (reader.position - start > MAX_TABLE) {
      if (!repair) {
        tally.error('the snapshot table has more than 64 MiB', at);
        return { corruptions: tally.corruptions - before, unreadable: true, discarded: 0 };
      }
      tally.corruptions += count - index;
      break;
    }
    snapshots.push(checked(entry, header));
    length = reader.position - start;
    if (header.version === 3 && entry.extraLength < REQUIRED_EXTRA) {
      tally.corruption(`snapshot table entry ${index} is incomplete`, at);
    }
  }
  run.snapshots = snapshots;
  run.snapshotBytes = length;
  const discarded = header.snapshotCount - snapshots.length;
  return { corruptions: tally.corruptions - before, unreadable: false, discarded };
}

function checked(entry: StoredEntry, header: Header): CheckedSnapshot {
  const decoder = new TextDecoder();
  const extra = header.version === 3 ? completeExtra(entry, header.size) : entry.extra;
  return {
    name: `${decoder.decode(entry.id)} (${decoder.decode(entry.name)})`,
    ...l1Of(entry),
    bytes: serialiseEntry({ ...entry, extra }),
  };
}
