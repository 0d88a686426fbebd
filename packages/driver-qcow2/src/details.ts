import type { BitmapInfo, Image, ImageDetails } from '@lamella/core';
import type { ImageEncryption } from './encryption/image-encryption.js';
import { AUTOCLEAR, COMPATIBLE, hasFeature, INCOMPATIBLE } from './header/features.js';
import type { Header } from './header/header.js';

/** What `qemu-img info` tells of a qcow2 image, in its order. */
export function imageDetails(
  header: Header,
  { bitmaps, references }: Pick<Image, 'bitmaps' | 'references'>,
  encryption: ImageEncryption | undefined,
): ImageDetails {
  const newer = header.version >= 3;
  const named = bitmaps?.list() ?? [];
  const { dataFile } = references;
  return {
    compat: newer ? '1.1' : '0.10',
    'compression-type': header.compressionType,
    ...(newer ? { 'lazy-refcounts': hasFeature(header.compatible, COMPATIBLE.lazyRefcounts) } : {}),
    ...(newer && named.length > 0 ? { bitmaps: named.map(bitmapDetails) } : {}),
    'refcount-bits': 2 ** header.refcountOrder,
    ...(encryption === undefined ? {} : { encrypt: encryption.details }),
    ...(newer && dataFile !== undefined ? { 'data-file': dataFile.location } : {}),
    ...(newer && hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile)
      ? { 'data-file-raw': hasFeature(header.autoclear, AUTOCLEAR.rawExternalData) }
      : {}),
    ...(newer
      ? {
          corrupt: hasFeature(header.incompatible, INCOMPATIBLE.corrupt),
          'extended-l2': hasFeature(header.incompatible, INCOMPATIBLE.extendedL2),
        }
      : {}),
  };
}

function bitmapDetails({ name, granularity, recording, inconsistent }: BitmapInfo): ImageDetails {
  const flags = [...(inconsistent ? ['in-use'] : []), ...(recording ? ['auto'] : [])];
  return { flags, name, granularity };
}
