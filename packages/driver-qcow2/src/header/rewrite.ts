import type { Storage } from '@lamella/core';
import { EXTENSION, extensionsLength } from './extensions.js';
import type { Header } from './header.js';
import { serialiseHeader } from './serialise.js';

const SECTOR = 512;

/**
 * Puts a header in the place of the one on the storage, once everything before is durable, and makes it
 * durable. Only the sectors that differ are written: a change of the fixed fields is within one sector and
 * happens as a whole or not at all.
 *
 * @throws LamellaError `LIMIT_EXCEEDED` when it does not fit into the first cluster (nothing was written),
 * `NO_SPACE`, `IO_ERROR`
 */
export async function rewriteHeader(storage: Storage, header: Header): Promise<void> {
  const wanted = serialiseHeader(fitting(header), storage.location);
  const found = new Uint8Array(wanted.length);
  await storage.read(found, 0);
  let first = 0;
  let end = wanted.length;
  while (first < end && sameSector(found, wanted, first)) {
    first += SECTOR;
  }
  while (end > first && sameSector(found, wanted, end - SECTOR)) {
    end -= SECTOR;
  }
  await storage.flush();
  if (first < end) {
    await storage.write(wanted.subarray(first, end), first);
    await storage.flush();
  }
}

/** The feature name table is only for messages: it is left out where its room is needed. */
function fitting(header: Header): Header {
  const name = new TextEncoder().encode(header.backing?.location ?? '').length;
  const length = header.headerLength + extensionsLength(header.extensions) + name;
  return length <= 2 ** header.clusterBits
    ? header
    : {
        ...header,
        extensions: header.extensions.filter(({ type }) => type !== EXTENSION.featureNames),
      };
}

function sameSector(one: Uint8Array, other: Uint8Array, at: number): boolean {
  for (let i = at; i < at + SECTOR; i += 1) {
    if (one[i] !== other[i]) {
      return false;
    }
  }
  return true;
}
