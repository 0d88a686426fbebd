import {
  type CreateOptions,
  type CryptoPlatform,
  type Storage,
  viewOf,
  writeUint64,
} from '@lamella/core';
import { makeDataFile } from '../data-file/create.js';
import { writeNewLuks } from '../encryption/luks/create.js';
import { noCrypto } from '../encryption/options.js';
import { Geometry } from '../geometry.js';
import { serialiseHeader } from '../header/serialise.js';
import { refcountWidth } from '../refcount/refcount-width.js';
import { writeIdentityTables } from './identity-tables.js';
import { type Layout, planLayout } from './layout.js';
import { preallocatedL1, writePreallocated } from './preallocate.js';

/** Bytes of refcounts that are written at once. */
const CHUNK = 64 * 1024;

/**
 * Writes a new, empty image and makes it durable. The header comes last, so that an unfinished image is
 * none.
 *
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `NO_SPACE`, `IO_ERROR`, `ABORTED`, and what making the
 * data file throws
 */
export async function createImage(
  storage: Storage,
  options: CreateOptions,
  crypto: CryptoPlatform | undefined,
): Promise<void> {
  const layout = planLayout(options, crypto);
  const { header, area, encryption } = layout;
  if (layout.dataFile !== undefined) {
    await makeDataFile(layout.dataFile, header.size, area.preallocation, options);
  }
  const { l1Offset } = header;
  // With space for all of it: metadata with holes would look like that of a preallocated image.
  await storage.writeZeroes(0, l1Offset, { unmap: false });
  await storage.writeZeroes(l1Offset, area.l2Offset - l1Offset);
  await storage.write(refcountTable(layout), header.refcountTableOffset);
  await writeBlocks(storage, layout);
  if (layout.mapsDataFile) {
    await writeIdentityTables(storage, layout);
  }
  await writeEncryption(storage, layout, crypto);
  if (area.l2Tables > 0) {
    await storage.write(preallocatedL1(area, 2 ** header.clusterBits), header.l1Offset);
    const { signal, onProgress } = options;
    await writePreallocated(storage, new Geometry(header), area, encryption !== undefined, {
      signal,
      onProgress,
    });
  }
  await storage.flush();
  await storage.write(serialiseHeader(header, storage.location), 0);
  await storage.flush();
}

async function writeEncryption(
  storage: Storage,
  { encryption, luksOffset }: Layout,
  crypto: CryptoPlatform | undefined,
): Promise<void> {
  if (encryption?.method !== 'luks') {
    return;
  }
  if (crypto === undefined) {
    throw noCrypto(storage.location);
  }
  const { settings, passphrase } = encryption;
  await writeNewLuks(crypto, storage, luksOffset, settings, passphrase);
}

function firstBlock({ header }: Layout): number {
  return (1 + header.refcountTableClusters) * 2 ** header.clusterBits;
}

function refcountTable(layout: Layout): Uint8Array {
  const bytes = new Uint8Array(layout.refcountBlocks * 8);
  const view = viewOf(bytes);
  for (let index = 0; index < layout.refcountBlocks; index += 1) {
    const block = firstBlock(layout) + index * 2 ** layout.header.clusterBits;
    writeUint64(view, index * 8, block, 'big');
  }
  return bytes;
}

/** The blocks lie one behind the other, so their entries can be written as if they were one. */
async function writeBlocks(storage: Storage, layout: Layout): Promise<void> {
  const bits = 2 ** layout.header.refcountOrder;
  const width = refcountWidth(bits);
  const perChunk = (CHUNK * 8) / bits;
  const full = new Uint8Array(Math.min(CHUNK, Math.ceil((layout.clusters * bits) / 8)));
  const view = viewOf(full);
  for (let entry = 0; entry < Math.min(perChunk, layout.clusters); entry += 1) {
    width.set(view, entry, 1);
  }
  for (let first = 0; first < layout.clusters; first += perChunk) {
    const count = Math.min(perChunk, layout.clusters - first);
    const bytes = full.slice(0, Math.ceil((count * bits) / 8));
    for (let entry = count; entry < (bytes.length * 8) / bits; entry += 1) {
      width.set(viewOf(bytes), entry, 0);
    }
    await storage.write(bytes, firstBlock(layout) + (first * bits) / 8);
  }
}
