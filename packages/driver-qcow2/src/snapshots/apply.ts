import { unsupported } from '../errors.js';
import { EXTENSION, findExtension } from '../header/extensions.js';
import { AUTOCLEAR, hasFeature } from '../header/features.js';
import type { Header } from '../header/header.js';
import type { Leftovers } from '../refcount/leftovers.js';
import type { PointerTable } from '../tables/pointer-table.js';
import { RunWriter } from '../tables/run-writer.js';
import type { ChangeParts } from './change-parts.js';
import { CopiedFlags } from './copied-flags.js';
import { switchState } from './new-state.js';
import { ReferenceChange } from './reference-change.js';
import { readL1 } from './snapshot-l1.js';
import type { Snapshot } from './table.js';
import { shareAll } from './table-copies.js';
import { TableWalk } from './table-walk.js';

/**
 * Makes the disk as it was: its L1 table becomes a copy of the snapshot's, VM state included, and the disk
 * gets the snapshot's size.
 *
 * @throws LamellaError `UNSUPPORTED` for an image with bitmaps, `NO_SPACE`, `CORRUPT`, `LIMIT_EXCEEDED`,
 * `IO_ERROR`
 */
export async function applySnapshot(
  parts: ChangeParts,
  header: Header,
  snapshot: Snapshot,
  leftovers: Leftovers,
): Promise<void> {
  const { storage, geometry, l1 } = parts;
  assertNoBitmaps(header, storage.location);
  const size = snapshot.info.diskSize;
  const old = await readL1(storage, geometry, snapshot, Math.ceil(size / geometry.l2Span));
  const references = new ReferenceChange(parts, [
    { l1: old, length: old.length, by: 1 },
    { l1, length: l1.length, by: -1 },
  ]);
  await references.plan();
  const place = { active: 0 };
  await switchState(
    parts,
    {
      references,
      async allocate(space) {
        place.active = await space.run(old.length * 8);
      },
      async write() {
        await clearFlags(parts, old);
        const active = old.movedTo(place.active, old.length);
        shareAll(active, old.length);
        await active.takeChanges().write();
        return { size, l1Size: old.length, l1Offset: place.active };
      },
    },
    leftovers,
  );
  leftovers.drop(l1.offset, l1.length * 8);
}

/**
 * The flags mean nothing in tables that only snapshots use, but now the active mapping shares these. Where
 * it did already there are none, so this changes nothing that the active mapping sees.
 */
async function clearFlags(parts: ChangeParts, l1: PointerTable): Promise<void> {
  const flags = new CopiedFlags(parts.entries, parts.geometry);
  const writer = new RunWriter(parts.storage);
  for await (const tables of new TableWalk(parts).batches(l1, l1.length)) {
    for (const table of tables) {
      if (flags.any(table)) {
        flags.clear(table);
        writer.add(table.offset, table.bytes);
      }
    }
    await writer.write();
  }
}

/** A bitmap says what changed since it was made, and all of the disk would change at once. QEMU refuses too. */
function assertNoBitmaps(header: Header, location: string): void {
  const extension = findExtension(header.extensions, EXTENSION.bitmaps);
  if (extension !== undefined && hasFeature(header.autoclear, AUTOCLEAR.bitmaps)) {
    throw unsupported(
      location,
      'the image has persistent bitmaps, which would not say what changes by applying a snapshot',
      'Remove them first.',
    );
  }
}
