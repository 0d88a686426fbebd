import type { Awaitable } from '@lamella/core';
import { isPromise, TableCache } from '@lamella/core';
import type { Header } from '../header/header.js';
import type { Leftovers } from '../refcount/leftovers.js';
import { Refcounts } from '../refcount/refcounts.js';
import type { PointerTable } from '../tables/pointer-table.js';
import type { ChangeParts } from './change-parts.js';
import { CopiedFlags } from './copied-flags.js';
import { switchState } from './new-state.js';
import { ReferenceChange } from './reference-change.js';
import type { ReferenceDeltas } from './reference-deltas.js';
import { readL1 } from './snapshot-l1.js';
import type { Snapshot, SnapshotTable } from './table.js';
import { copyTables, NOWHERE, type Places, TableMarks } from './table-copies.js';
import { TableWalk } from './table-walk.js';

/** Bytes of new refcount blocks to keep in memory. */
const CACHE_SIZE = 16 * 1024 * 1024;

/**
 * Forgets a snapshot. Active tables that have clusters for themselves again are replaced by copies that say
 * so.
 *
 * @throws LamellaError `NO_SPACE`, `CORRUPT`, `LIMIT_EXCEEDED`, `IO_ERROR`
 */
export async function deleteSnapshot(
  parts: ChangeParts,
  header: Header,
  table: SnapshotTable,
  snapshot: Snapshot,
  leftovers: Leftovers,
): Promise<void> {
  const { storage, geometry, l1, entries } = parts;
  const gone = await readL1(storage, geometry, snapshot, 0);
  const flags = new CopiedFlags(entries, geometry);
  const marks = new TableMarks(l1.length);
  const references = new ReferenceChange(parts, [{ l1: gone, length: gone.length, by: -1 }]);
  const l1Changes = { needed: false };
  await references.plan(async (deltas) => {
    const found = await markTables(parts, flags, marks, deltas);
    l1Changes.needed ||= found;
  });
  const kept = table.snapshots.filter((other) => other !== snapshot).map(({ bytes }) => bytes);
  const place: Places = { active: l1.offset, table: 0, copies: NOWHERE };
  const moves = l1Changes.needed || marks.count > 0;
  await switchState(
    parts,
    {
      references,
      async allocate(space) {
        place.active = moves ? await space.run(l1.length * 8) : l1.offset;
        place.table = await space.run(kept.reduce((sum, bytes) => sum + bytes.length, 0));
        place.copies = await space.clusters(marks.count);
      },
      async write(refcountTable) {
        if (moves) {
          const alone = aloneBy(parts, refcountTable);
          const active = l1.movedTo(place.active, l1.length);
          await setL1Flags(parts, active, alone);
          await copyTables(parts, {
            l1,
            marks,
            places: place.copies,
            transform: (l2) => flags.update(l2, alone),
            moved: (index, from, to) => {
              active.set(index, to);
              leftovers.drop(from, geometry.clusterSize);
            },
          });
          await active.takeChanges().write();
        }
        if (kept.length > 0) {
          await storage.writev(kept, place.table);
        }
        return {
          l1Offset: place.active,
          snapshotCount: kept.length,
          snapshotsOffset: place.table,
        };
      },
    },
    leftovers,
  );
  if (moves) {
    leftovers.drop(l1.offset, l1.length * 8);
  }
  leftovers.drop(gone.offset, gone.length * 8);
  leftovers.drop(header.snapshotsOffset, table.length);
}

/**
 * Marks the active tables of which flags of this window's clusters change.
 *
 * @returns whether a flag in the L1 table changes
 */
async function markTables(
  parts: ChangeParts,
  flags: CopiedFlags,
  marks: TableMarks,
  deltas: ReferenceDeltas,
): Promise<boolean> {
  const { l1, refcounts, geometry } = parts;
  const alone = (cluster: number): Awaitable<boolean | undefined> => {
    const delta = cluster < deltas.first || cluster >= deltas.end ? 0 : deltas.get(cluster);
    if (delta === 0) {
      return undefined;
    }
    const refcount = refcounts.get(cluster);
    return isPromise(refcount)
      ? refcount.then((value) => value + delta === 1)
      : refcount + delta === 1;
  };
  let changed = false;
  for await (const tables of new TableWalk(parts).batches(l1, l1.length)) {
    for (const table of tables) {
      const own = await alone(table.offset / geometry.clusterSize);
      changed ||= own !== undefined && own !== l1.isCopied(table.l1Index);
      if (!marks.has(table.l1Index) && (await flags.differ(table, alone))) {
        marks.add(table.l1Index);
      }
    }
  }
  return changed;
}

/** Answers whether a cluster has one reference, by the new refcount blocks. */
function aloneBy(
  { storage, geometry }: ChangeParts,
  table: PointerTable,
): (cluster: number) => Awaitable<boolean> {
  const cache = new TableCache(storage, { sliceSize: geometry.sliceSize, maxBytes: CACHE_SIZE });
  const refcounts = new Refcounts({ storage, geometry, cache, table });
  return (cluster) => {
    const refcount = refcounts.get(cluster);
    return isPromise(refcount) ? refcount.then((value) => value === 1) : refcount === 1;
  };
}

async function setL1Flags(
  { geometry }: ChangeParts,
  l1: PointerTable,
  alone: (cluster: number) => Awaitable<boolean>,
): Promise<void> {
  for (let index = 0; index < l1.length; index += 1) {
    const pointer = l1.get(index);
    if (pointer > 0) {
      l1.set(index, pointer, await alone(pointer / geometry.clusterSize));
    }
  }
}
