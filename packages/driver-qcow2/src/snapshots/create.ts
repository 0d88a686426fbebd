import type { Header } from '../header/header.js';
import type { Leftovers } from '../refcount/leftovers.js';
import type { ChangeParts } from './change-parts.js';
import { CopiedFlags } from './copied-flags.js';
import { newEntry, nextId, type SnapshotLabel } from './new-entry.js';
import { switchState } from './new-state.js';
import { ReferenceChange } from './reference-change.js';
import type { SnapshotTable } from './table.js';
import { copyTables, NOWHERE, type Places, shareAll, TableMarks } from './table-copies.js';

/**
 * Keeps the disk's present state as a snapshot: it and the active mapping share all tables from then on.
 * Tables with COPIED flags are replaced by copies without them. What lies behind the disk's end - the VM
 * state of a snapshot that was applied - is not part of it.
 *
 * @throws LamellaError `LIMIT_EXCEEDED`, `NO_SPACE`, `CORRUPT`, `IO_ERROR`
 */
export async function createSnapshot(
  parts: ChangeParts,
  header: Header,
  table: SnapshotTable,
  label: SnapshotLabel,
  leftovers: Leftovers,
): Promise<void> {
  const { storage, geometry, l1, entries } = parts;
  const id = nextId(table.snapshots);
  const length = Math.ceil(header.size / geometry.l2Span);
  const entry = (l1Offset: number) =>
    newEntry(id, label, { l1Offset, l1Size: length, diskSize: header.size });
  const added = entry(0).length;
  const flags = new CopiedFlags(entries, geometry);
  const marks = new TableMarks(l1.length);
  const references = new ReferenceChange(parts, [
    {
      l1,
      length,
      by: 1,
      countsTable: (l2) => {
        if (flags.any(l2)) {
          marks.add(l2.l1Index);
        }
        return !marks.has(l2.l1Index);
      },
    },
  ]);
  await references.plan();
  const place: Places & { snapshot: number } = {
    active: 0,
    snapshot: 0,
    table: 0,
    copies: NOWHERE,
  };
  await switchState(
    parts,
    {
      references,
      async allocate(space) {
        place.active = await space.run(l1.length * 8);
        place.snapshot = await space.run(length * 8);
        place.table = await space.run(table.length + added);
        place.copies = await space.clusters(marks.count, 2);
      },
      async write() {
        const active = l1.movedTo(place.active, l1.length);
        shareAll(active, length);
        await copyTables(parts, {
          l1,
          marks,
          places: place.copies,
          transform: (l2) => flags.clear(l2),
          moved: (index, from, to) => {
            active.set(index, to, false);
            leftovers.drop(from, geometry.clusterSize);
          },
        });
        await active.takeChanges().write();
        await active.movedTo(place.snapshot, length).takeChanges().write();
        const kept = table.snapshots.map(({ bytes }) => bytes);
        await storage.writev([...kept, entry(place.snapshot)], place.table);
        return {
          l1Offset: place.active,
          snapshotCount: table.snapshots.length + 1,
          snapshotsOffset: place.table,
        };
      },
    },
    leftovers,
  );
  leftovers.drop(l1.offset, l1.length * 8);
  leftovers.drop(header.snapshotsOffset, table.length);
}
