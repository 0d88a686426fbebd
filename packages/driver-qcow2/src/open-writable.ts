import type { OpenOptions, Storage } from '@lamella/core';
import { hasValidBitmaps, keptAutoclear } from './access.js';
import { withBitmaps } from './bitmaps/extension.js';
import { repairUnclean } from './check/unclean.js';
import { referencesOf } from './data-file/description.js';
import { EXTENSION, findExtension } from './header/extensions.js';
import { hasFeature, INCOMPATIBLE } from './header/features.js';
import type { Header } from './header/header.js';
import { rewriteHeader } from './header/rewrite.js';
import { featuresPatch } from './header/serialise.js';
import { type ImageSetup, readParts } from './image.js';
import { WritableQcow2Image } from './writable-image.js';
import { writeParts } from './write-parts.js';

/**
 * Opens an image for reading and writing; one that was not closed cleanly is repaired first.
 *
 * @throws LamellaError `CORRUPT`, `LIMIT_EXCEEDED`, `IO_ERROR`
 */
export async function openWritable(
  setup: ImageSetup,
  beforeWriting: OpenOptions['beforeWriting'],
): Promise<WritableQcow2Image> {
  const { storage } = setup;
  let { header } = setup;
  if (hasFeature(header.incompatible, INCOMPATIBLE.dirty)) {
    await beforeWriting?.(referencesOf(header));
    header = await repairUnclean(storage, header);
  }
  const parts = await readParts({ ...setup, header });
  const image = new WritableQcow2Image(await writeParts(parts));
  await beforeWriting?.(image.references);
  await clearUnknownFeatures(storage, header);
  return image;
}

/**
 * Data of autoclear features that this driver does not keep current count as stale from now on. Bitmaps that
 * are stale already are forgotten; QEMU does so too and warns as long as they are there.
 */
async function clearUnknownFeatures(storage: Storage, header: Header): Promise<void> {
  const kept = keptAutoclear(header);
  const stale = findExtension(header.extensions, EXTENSION.bitmaps);
  if (header.version === 3 && stale !== undefined && !hasValidBitmaps(header)) {
    await rewriteHeader(storage, withBitmaps({ ...header, autoclear: kept }, undefined));
  } else if (header.autoclear.high !== kept.high || header.autoclear.low !== kept.low) {
    const patch = featuresPatch('autoclear', kept);
    await storage.write(patch.bytes, patch.offset);
    await storage.flush();
  }
}
