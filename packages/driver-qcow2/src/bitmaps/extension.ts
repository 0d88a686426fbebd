import { viewOf, writeUint64 } from '@lamella/core';
import { corrupt } from '../errors.js';
import { EXTENSION, findExtension } from '../header/extensions.js';
import { AUTOCLEAR, hasFeature, withFeature } from '../header/features.js';
import type { Header } from '../header/header.js';

const TWO_32 = 0x1_0000_0000;
const LENGTH = 24;

/** Where the bitmap directory is (specification: "Bitmaps extension"). */
export interface BitmapsExtension {
  /** Bitmaps in the directory. */
  readonly count: number;
  /** Bytes. */
  readonly size: number;
  /** Byte offset within the file. */
  readonly offset: number;
}

/**
 * The bitmaps extension; undefined when there is none, or when somebody has written to the image without
 * keeping the bitmaps, as the autoclear bit tells.
 *
 * @throws LamellaError `CORRUPT` when it is too short
 */
export function parseBitmapsExtension(
  header: Header,
  location: string,
): BitmapsExtension | undefined {
  const extension = findExtension(header.extensions, EXTENSION.bitmaps);
  if (extension === undefined || !hasFeature(header.autoclear, AUTOCLEAR.bitmaps)) {
    return undefined;
  }
  if (extension.data.length < LENGTH) {
    throw corrupt(location, 0, 'the bitmaps extension is too short');
  }
  const view = viewOf(extension.data);
  return {
    count: view.getUint32(0),
    size: view.getUint32(8) * TWO_32 + view.getUint32(12),
    offset: view.getUint32(16) * TWO_32 + view.getUint32(20),
  };
}

/**
 * A header that says where the bitmap directory is, or that there is none. The extension comes first: there
 * it lies within one sector with the fixed fields, and a header is changed as a whole.
 */
export function withBitmaps(header: Header, bitmaps: BitmapsExtension | undefined): Header {
  const others = header.extensions.filter(({ type }) => type !== EXTENSION.bitmaps);
  return {
    ...header,
    autoclear: withFeature(header.autoclear, AUTOCLEAR.bitmaps, bitmaps !== undefined),
    extensions:
      bitmaps === undefined
        ? others
        : [{ type: EXTENSION.bitmaps, data: serialise(bitmaps) }, ...others],
  };
}

function serialise({ count, size, offset }: BitmapsExtension): Uint8Array {
  const data = new Uint8Array(LENGTH);
  const view = viewOf(data);
  view.setUint32(0, count);
  writeUint64(view, 8, size, 'big');
  writeUint64(view, 16, offset, 'big');
  return data;
}
