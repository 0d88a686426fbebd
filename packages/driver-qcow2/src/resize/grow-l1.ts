import { alignUp, type Storage } from '@lamella/core';
import type { Header } from '../header/header.js';
import { readHeader } from '../header/parse.js';
import { rewriteHeader } from '../header/rewrite.js';
import type { WriteParts } from '../write-parts.js';
import { neededL1 } from './check-resize.js';

/** Bytes of the table that are copied at once. */
const CHUNK = 1024 * 1024;

/**
 * Gives a disk of a size the L1 table that it needs: longer where it is, if its last cluster has room, or a
 * copy elsewhere. The header names it once it is durable.
 *
 * @param size - bytes
 * @throws LamellaError `NO_SPACE`, `LIMIT_EXCEEDED`, `CORRUPT`, `IO_ERROR`
 */
export async function growL1(parts: WriteParts, header: Header, size: number): Promise<void> {
  const { storage, geometry, allocator, drops, flusher } = parts;
  const { clusterSize } = geometry;
  const l1Size = neededL1(size, geometry);
  if (l1Size <= header.l1Size) {
    return;
  }
  const oldBytes = header.l1Size * 8;
  const oldEnd = alignUp(oldBytes, clusterSize);
  if (l1Size * 8 <= oldEnd) {
    await storage.write(new Uint8Array(l1Size * 8 - oldBytes), header.l1Offset + oldBytes);
    await rewriteHeader(storage, { ...header, l1Size });
    return;
  }
  const { offset } = await allocator.allocateContiguous(Math.ceil((l1Size * 8) / clusterSize));
  await copyTable(storage, header.l1Offset, oldBytes, offset, alignUp(l1Size * 8, clusterSize));
  // The flush may point the header to a larger refcount table.
  await flusher.flush();
  await rewriteHeader(storage, { ...(await readHeader(storage)), l1Offset: offset, l1Size });
  if (oldEnd > 0) {
    drops.add(header.l1Offset, oldEnd, true);
  }
}

/** Copies a table and fills its new place up with zeroes. */
async function copyTable(
  storage: Storage,
  from: number,
  length: number,
  to: number,
  newLength: number,
): Promise<void> {
  for (let at = 0; at < newLength; at += CHUNK) {
    const piece = new Uint8Array(Math.min(CHUNK, newLength - at));
    if (at < length) {
      await storage.read(piece.subarray(0, Math.min(piece.length, length - at)), from + at);
    }
    await storage.write(piece, to + at);
  }
}
