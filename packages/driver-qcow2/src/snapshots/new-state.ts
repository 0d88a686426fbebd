import type { Header } from '../header/header.js';
import { readHeader } from '../header/parse.js';
import { statePatch } from '../header/serialise.js';
import type { Leftovers } from '../refcount/leftovers.js';
import type { PointerTable } from '../tables/pointer-table.js';
import type { ChangeParts } from './change-parts.js';
import { NewSpace } from './new-space.js';
import type { ReferenceChange } from './reference-change.js';

/** Fields of the header that a change of the snapshots replaces. */
export type HeaderChange = Partial<
  Pick<Header, 'size' | 'l1Size' | 'l1Offset' | 'snapshotCount' | 'snapshotsOffset'>
>;

/** A change of the snapshots, in the order of its steps. */
export interface StateChange {
  readonly references: ReferenceChange;
  /** Sets all further space aside; its refcounts are durable before the next step. */
  allocate(space: NewSpace): Promise<void>;
  /**
   * Writes new tables into that space.
   *
   * @param refcounts - the refcount table as it will be; its blocks are written
   */
  write(refcounts: PointerTable): Promise<HeaderChange>;
}

/**
 * Makes the new state beside the old one - refcounts, mapping and snapshot table - and switches to it by one
 * write to the header's first sector. So refcounts and COPIED flags agree whenever the machine stops; what a
 * crash leaves is space that nothing refers to.
 *
 * @param leftovers - learns what the old state has to be relieved of
 * @throws LamellaError `NO_SPACE`, `LIMIT_EXCEEDED`, `CORRUPT`, `IO_ERROR`; the image is as before then,
 * unless the write to the header failed
 */
export async function switchState(
  parts: ChangeParts,
  change: StateChange,
  leftovers: Leftovers,
): Promise<void> {
  const { storage, refcounts, flusher, geometry } = parts;
  const space = new NewSpace(parts);
  let switching = false;
  try {
    const blocks = change.references.changedBlocks;
    const places = await space.clusters(blocks.length);
    await change.allocate(space);
    const tableOffset = blocks.length === 0 ? 0 : await space.refcountTable();
    await flusher.flush();
    const old = refcounts.table;
    const table = blocks.length === 0 ? old : old.movedTo(tableOffset, old.length);
    await change.references.write(places, table, leftovers);
    await table.takeChanges().write();
    const replaced = await change.write(table);
    const patch = statePatch({
      ...(await readHeader(storage)),
      ...replaced,
      refcountTableOffset: table.offset,
      refcountTableClusters: (table.length * 8) / geometry.clusterSize,
    });
    await storage.flush();
    switching = true;
    await storage.write(patch.bytes, patch.offset);
    await storage.flush();
    if (table !== old) {
      leftovers.drop(old.offset, old.length * 8);
      for (const index of blocks) {
        leftovers.drop(old.get(index), geometry.clusterSize);
      }
    }
  } catch (error) {
    if (!switching) {
      space.giveUp();
      // What this can't do is noted for the next flush; the first error is the one to report.
      await flusher.flush().catch(() => undefined);
    }
    throw error;
  }
}
