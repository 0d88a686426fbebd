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
import { serialiseHeader } from '../header/serialise.js';
import { refcountWidth } from '../refcount/refcount-width.js';
import { writeIdentityTables } from './identity-tables.js';
import { type Layout, planLayout } from './layout.js';

/**
 * Writes a new, empty image and makes it durable. The header comes last, so that an unfinished image is
 * none.
 *
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `NO_SPACE`, `IO_ERROR`, and what making the
 * data file throws
 */
export async function createImage(
  storage: Storage,
  options: CreateOptions,
  crypto: CryptoPlatform | undefined,
): Promise<void> {
  const layout = planLayout(options, crypto);
  const { header, clusters } = layout;
  const clusterSize = 2 ** header.clusterBits;
  if (layout.dataFile !== undefined) {
    await makeDataFile(layout.dataFile, header.size, options);
  }
  await storage.writeZeroes(0, clusters * clusterSize);
  await storage.write(refcountTable(layout), header.refcountTableOffset);
  await writeBlocks(storage, layout);
  if (layout.dataFile?.raw === true) {
    await writeIdentityTables(storage, layout);
  }
  await writeEncryption(storage, layout, crypto);
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

async function writeBlocks(storage: Storage, layout: Layout): Promise<void> {
  const clusterSize = 2 ** layout.header.clusterBits;
  const bits = 2 ** layout.header.refcountOrder;
  const perBlock = (clusterSize * 8) / bits;
  const width = refcountWidth(bits);
  for (let index = 0; index < layout.refcountBlocks; index += 1) {
    const count = Math.min(perBlock, layout.clusters - index * perBlock);
    const bytes = new Uint8Array(Math.ceil((count * bits) / 8));
    const view = viewOf(bytes);
    for (let entry = 0; entry < count; entry += 1) {
      width.set(view, entry, 1);
    }
    await storage.write(bytes, firstBlock(layout) + index * clusterSize);
  }
}
