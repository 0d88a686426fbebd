import { LamellaError, viewOf, writeUint64 } from '@lamella/core';
import { extensionsLength, serialiseExtensions } from './extensions.js';
import type { FeatureBits } from './features.js';
import { COMPRESSION_TYPES, FIELD, type Header, MAGIC, V2_LENGTH } from './header.js';

/** A few header bytes to write in place; within one 512-byte sector, so written all or not at all. */
export interface HeaderPatch {
  /** Byte offset within the file. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * The first cluster of an image: header, extensions, backing file name, zeroes to the end.
 *
 * @returns as many bytes as a cluster has
 * @throws LamellaError `LIMIT_EXCEEDED` when it does not fit into the first cluster
 */
export function serialiseHeader(header: Header, location: string): Uint8Array {
  const bytes = new Uint8Array(2 ** header.clusterBits);
  const name = new TextEncoder().encode(header.backing?.location ?? '');
  const nameOffset = header.headerLength + extensionsLength(header.extensions);
  if (nameOffset + name.length > bytes.length) {
    throw new LamellaError('LIMIT_EXCEEDED', 'the header does not fit into the first cluster', {
      location,
      hint: 'Use larger clusters or a shorter backing file name.',
    });
  }
  const view = viewOf(bytes);
  writeCommon(view, header);
  if (name.length > 0) {
    writeUint64(view, FIELD.backingOffset, nameOffset, 'big');
    view.setUint32(FIELD.backingLength, name.length);
    bytes.set(name, nameOffset);
  }
  if (header.version === 3) {
    writeVersion3(view, header);
    bytes.set(header.additional, header.headerLength - header.additional.length);
  }
  bytes.set(serialiseExtensions(header.extensions), header.headerLength);
  return bytes;
}

function writeCommon(view: DataView, header: Header): void {
  view.setUint32(FIELD.magic, MAGIC);
  view.setUint32(FIELD.version, header.version);
  view.setUint32(FIELD.clusterBits, header.clusterBits);
  writeUint64(view, FIELD.size, header.size, 'big');
  view.setUint32(FIELD.cryptMethod, header.cryptMethod);
  view.setUint32(FIELD.l1Size, header.l1Size);
  writeUint64(view, FIELD.l1Offset, header.l1Offset, 'big');
  writeUint64(view, FIELD.refcountTableOffset, header.refcountTableOffset, 'big');
  view.setUint32(FIELD.refcountTableClusters, header.refcountTableClusters);
  view.setUint32(FIELD.snapshotCount, header.snapshotCount);
  writeUint64(view, FIELD.snapshotsOffset, header.snapshotsOffset, 'big');
}

function writeVersion3(view: DataView, header: Header): void {
  writeFeatures(view, FIELD.incompatible, header.incompatible);
  writeFeatures(view, FIELD.compatible, header.compatible);
  writeFeatures(view, FIELD.autoclear, header.autoclear);
  view.setUint32(FIELD.refcountOrder, header.refcountOrder);
  view.setUint32(FIELD.headerLength, header.headerLength);
  if (header.headerLength > FIELD.compressionType) {
    view.setUint8(FIELD.compressionType, COMPRESSION_TYPES.indexOf(header.compressionType));
  }
}

function writeFeatures(view: DataView, at: number, { high, low }: FeatureBits): void {
  view.setUint32(at, high);
  view.setUint32(at + 4, low);
}

/** Points the header to another refcount table. */
export function refcountTablePatch(offset: number, clusters: number): HeaderPatch {
  const bytes = new Uint8Array(12);
  const view = viewOf(bytes);
  writeUint64(view, 0, offset, 'big');
  view.setUint32(8, clusters);
  return { offset: FIELD.refcountTableOffset, bytes };
}

/** The fields that say which state of the image is the present one: size, mapping, refcounts, snapshots. */
export function statePatch(header: Header): HeaderPatch {
  const bytes = new Uint8Array(V2_LENGTH);
  writeCommon(viewOf(bytes), header);
  return { offset: FIELD.size, bytes: bytes.subarray(FIELD.size) };
}

/** Replaces one of the feature bitmaps of a version 3 header. */
export function featuresPatch(
  field: 'incompatible' | 'compatible' | 'autoclear',
  features: FeatureBits,
): HeaderPatch {
  const bytes = new Uint8Array(8);
  writeFeatures(viewOf(bytes), 0, features);
  return { offset: FIELD[field], bytes };
}
