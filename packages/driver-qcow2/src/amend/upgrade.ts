import { alignUp } from '@lamella/core';
import { EXTENSION, type HeaderExtension } from '../header/extensions.js';
import { KNOWN_FEATURES, NO_FEATURES, serialiseFeatureNames } from '../header/features.js';
import { type Header, V2_LENGTH, V3_WRITTEN_LENGTH } from '../header/header.js';
import { readHeader } from '../header/parse.js';
import { rewriteHeader } from '../header/rewrite.js';
import { completeExtra, REQUIRED_EXTRA, serialiseEntry } from '../snapshots/entry.js';
import type { WriteParts } from '../write-parts.js';
import { readSnapshotEntries } from './snapshot-entries.js';

/**
 * Gives every snapshot the sizes that version 3 wants in its entry: into a table elsewhere, which the header
 * names once it is durable.
 *
 * @throws LamellaError `NO_SPACE`, `CORRUPT`, `IO_ERROR`
 */
export async function completeSnapshots(parts: WriteParts, header: Header): Promise<void> {
  const { storage, geometry, allocator, flusher, drops } = parts;
  const entries = await readSnapshotEntries(storage, header);
  if (entries.every(({ extraLength }) => extraLength >= REQUIRED_EXTRA)) {
    return;
  }
  const pieces = entries.map((entry) =>
    serialiseEntry({ ...entry, extra: completeExtra(entry, header.size) }),
  );
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const clusters = Math.ceil(length / geometry.clusterSize);
  const { offset } = await allocator.allocateContiguous(clusters);
  const bytes = new Uint8Array(clusters * geometry.clusterSize);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  await storage.write(bytes, offset);
  await flusher.flush();
  await rewriteHeader(storage, { ...(await readHeader(storage)), snapshotsOffset: offset });
  const before = entries.reduce((sum, entry) => sum + alignUp(entry.length, 8), 0);
  drops.add(header.snapshotsOffset, before, true);
}

/** The header of version 3 that says the same as one of version 2. */
export function upgraded(header: Header): Header {
  const names: HeaderExtension = {
    type: EXTENSION.featureNames,
    data: serialiseFeatureNames(KNOWN_FEATURES),
  };
  const others = header.extensions.filter(({ type }) => type !== EXTENSION.featureNames);
  return {
    ...header,
    version: 3,
    headerLength: V3_WRITTEN_LENGTH,
    extensions: [...others, names],
    additional: new Uint8Array(0),
  };
}

/** The header of version 2 that says the same as one of version 3, which uses nothing that is new there. */
export function downgraded(header: Header): Header {
  return {
    ...header,
    version: 2,
    headerLength: V2_LENGTH,
    incompatible: NO_FEATURES,
    compatible: NO_FEATURES,
    autoclear: NO_FEATURES,
    // Bitmaps that are not valid were nobody's any more.
    extensions: header.extensions.filter(
      ({ type }) => type !== EXTENSION.featureNames && type !== EXTENSION.bitmaps,
    ),
    additional: new Uint8Array(0),
  };
}
