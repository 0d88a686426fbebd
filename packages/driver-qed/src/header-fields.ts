import { viewOf, writeUint64 } from '@lamella/core';

/** Bytes of the header (specification: "Header"). */
export const HEADER_BYTES = 64;
/** `QED\0`, little-endian (specification: `magic`). */
export const MAGIC = 0x00444551;
/** Longest backing filename in bytes; QEMU takes no longer one. */
export const MAX_BACKING_NAME = 1023;

/** Byte offsets of the header's fields (specification: "Header"). All are little-endian. */
export const FIELD = {
  magic: 0,
  clusterSize: 4,
  tableSize: 8,
  headerSize: 12,
  features: 16,
  compatFeatures: 24,
  autoclearFeatures: 32,
  l1TableOffset: 40,
  imageSize: 48,
  backingFilenameOffset: 56,
  backingFilenameSize: 60,
} as const;

/** Bits of `features` (specification: "Feature bits"). */
export const FEATURE = {
  backingFile: 0x01,
  needCheck: 0x02,
  backingFormatNoProbe: 0x04,
} as const;

/** Bits of `features` that this driver knows; others make an image unreadable. */
export const KNOWN_FEATURES =
  FEATURE.backingFile | FEATURE.needCheck | FEATURE.backingFormatNoProbe;

/** What {@link encodeHeader} writes. */
export interface HeaderValues {
  /** Bytes. */
  readonly clusterSize: number;
  /** Clusters. */
  readonly tableSize: number;
  /** Bytes, a multiple of 512. */
  readonly imageSize: number;
  /** Byte offset of the L1 table. */
  readonly l1Offset: number;
  /** Bits of {@link FEATURE}, without `backingFile`. */
  readonly features: number;
  /** UTF-8 bytes of the backing filename; empty for none. */
  readonly backingName: Uint8Array;
}

/**
 * A new image's header of one cluster (specification: "Header"), as far as it has content: the
 * backing filename stands right behind the fields.
 *
 * @returns at most 64 + 1023 bytes
 */
export function encodeHeader(values: HeaderValues): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + values.backingName.length);
  const view = viewOf(bytes);
  const hasBacking = values.backingName.length > 0;
  view.setUint32(FIELD.magic, MAGIC, true);
  view.setUint32(FIELD.clusterSize, values.clusterSize, true);
  view.setUint32(FIELD.tableSize, values.tableSize, true);
  view.setUint32(FIELD.headerSize, 1, true);
  view.setUint32(FIELD.features, values.features | (hasBacking ? FEATURE.backingFile : 0), true);
  writeUint64(view, FIELD.l1TableOffset, values.l1Offset, 'little');
  writeUint64(view, FIELD.imageSize, values.imageSize, 'little');
  view.setUint32(FIELD.backingFilenameOffset, hasBacking ? HEADER_BYTES : 0, true);
  view.setUint32(FIELD.backingFilenameSize, values.backingName.length, true);
  bytes.set(values.backingName, HEADER_BYTES);
  return bytes;
}

/** The 8 bytes of a 64-bit header field. */
export function encodeField(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeUint64(viewOf(bytes), 0, value, 'little');
  return bytes;
}
