import { LamellaError, type Reference, type Storage } from '@lamella/core';
import { EXTENSION, findExtension, type HeaderExtension, parseExtensions } from './extensions.js';
import {
  type FeatureBits,
  featureNumbers,
  hasFeature,
  INCOMPATIBLE,
  KNOWN_FEATURES,
  NO_FEATURES,
  parseFeatureNames,
} from './features.js';
import {
  COMPRESSION_TYPES,
  type CompressionType,
  type CryptMethod,
  FIELD,
  type Header,
  MAGIC,
  MAX_BACKING_NAME,
  V2_LENGTH,
  V3_LENGTH,
  V3_WRITTEN_LENGTH,
} from './header.js';
import { HeaderReader } from './header-reader.js';

/** Byte behind the last field that is known; padding and fields of later versions follow. */
const KNOWN_END = FIELD.compressionType + 1;
/** Smallest and largest cluster, as powers of two. */
const MIN_CLUSTER_BITS = 9;
const MAX_CLUSTER_BITS = 21;

/**
 * Reads a header and everything else in the first cluster. What it says about tables elsewhere is not
 * checked here; see `validateTables`.
 *
 * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`, `LIMIT_EXCEEDED`
 */
export async function readHeader(storage: Storage): Promise<Header> {
  const fixed = new Uint8Array(Math.min(storage.size, V3_WRITTEN_LENGTH));
  await storage.read(fixed, 0);
  const clusterBits = checkStart(new HeaderReader(fixed, storage.location));
  const head = new Uint8Array(2 ** clusterBits);
  await storage.read(head, 0);
  return parseHeader(head, storage.location);
}

function checkStart(reader: HeaderReader): number {
  const have = reader.bytes.length;
  if (have < 4 ? have === 0 || reader.bytes[0] !== 0x51 : reader.uint32(FIELD.magic) !== MAGIC) {
    throw reader.error('WRONG_FORMAT', 0, 'this is no qcow2 image', 'Check the format.');
  }
  if (have < V2_LENGTH) {
    throw reader.error(
      'TRUNCATED',
      have,
      `the header ends after ${have} bytes`,
      `A qcow2 header has at least ${V2_LENGTH} bytes; the file is incomplete.`,
    );
  }
  const version = reader.uint32(FIELD.version);
  if (version !== 2 && version !== 3) {
    throw reader.error(
      'UNSUPPORTED',
      FIELD.version,
      `qcow2 version ${version} is not supported`,
      'Versions 2 and 3 are.',
    );
  }
  if (version === 3 && have < V3_LENGTH) {
    throw reader.error(
      'TRUNCATED',
      have,
      `the version 3 header ends after ${have} bytes`,
      `It has at least ${V3_LENGTH} bytes; the file is incomplete.`,
    );
  }
  const clusterBits = reader.uint32(FIELD.clusterBits);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    throw reader.error(
      'INVALID_HEADER',
      FIELD.clusterBits,
      `cluster_bits is ${clusterBits}`,
      `It must be from ${MIN_CLUSTER_BITS} to ${MAX_CLUSTER_BITS}.`,
    );
  }
  return clusterBits;
}

/**
 * Reads a header from the first cluster of an image.
 *
 * @param head - the first cluster, zero-padded where the file is shorter
 * @throws LamellaError as {@link readHeader}
 */
function parseHeader(head: Uint8Array, location: string): Header {
  const reader = new HeaderReader(head, location);
  const clusterBits = checkStart(reader);
  const version = reader.uint32(FIELD.version) === 2 ? 2 : 3;
  const headerLength = version === 2 ? V2_LENGTH : parseLength(reader);
  const extensionsEnd = nameOffset(reader, headerLength) ?? head.length;
  const incompatible = version === 2 ? NO_FEATURES : reader.features(FIELD.incompatible);
  refuseUnknown(reader, incompatible, headerLength, extensionsEnd);
  const extensions = parseExtensions(head, headerLength, extensionsEnd, location);
  return {
    version,
    clusterBits,
    size: reader.uint64(FIELD.size, 'size'),
    cryptMethod: parseCryptMethod(reader),
    l1Size: reader.uint32(FIELD.l1Size),
    l1Offset: reader.uint64(FIELD.l1Offset, 'l1_table_offset'),
    refcountTableOffset: reader.uint64(FIELD.refcountTableOffset, 'refcount_table_offset'),
    refcountTableClusters: reader.uint32(FIELD.refcountTableClusters),
    snapshotCount: reader.uint32(FIELD.snapshotCount),
    snapshotsOffset: reader.uint64(FIELD.snapshotsOffset, 'snapshots_offset'),
    incompatible,
    compatible: version === 2 ? NO_FEATURES : reader.features(FIELD.compatible),
    autoclear: version === 2 ? NO_FEATURES : reader.features(FIELD.autoclear),
    refcountOrder: version === 2 ? 4 : parseRefcountOrder(reader),
    headerLength,
    compressionType: parseCompressionType(reader, incompatible, headerLength),
    additional: head.slice(Math.min(KNOWN_END, headerLength), headerLength),
    extensions,
    backing: parseBacking(reader, extensions),
    dataFile: parseDataFile(reader, incompatible, extensions),
  };
}

function parseLength(reader: HeaderReader): number {
  const length = reader.uint32(FIELD.headerLength);
  if (length < V3_LENGTH || length % 8 !== 0 || length > reader.bytes.length) {
    throw reader.error(
      'INVALID_HEADER',
      FIELD.headerLength,
      `header_length is ${length}`,
      `It must be a multiple of 8 from ${V3_LENGTH} to the cluster size.`,
    );
  }
  return length;
}

function nameOffset(reader: HeaderReader, headerLength: number): number | undefined {
  const offset = reader.uint64(FIELD.backingOffset, 'backing_file_offset');
  if (offset === 0) {
    return undefined;
  }
  const length = reader.uint32(FIELD.backingLength);
  if (length > MAX_BACKING_NAME) {
    throw reader.error(
      'INVALID_HEADER',
      FIELD.backingLength,
      `the backing file name has ${length} bytes`,
      `At most ${MAX_BACKING_NAME} are allowed.`,
    );
  }
  if (offset < headerLength || offset + length > reader.bytes.length) {
    throw reader.error(
      'INVALID_HEADER',
      FIELD.backingOffset,
      `the backing file name lies at bytes ${offset} to ${offset + length}`,
      'It must lie behind the header in the first cluster.',
    );
  }
  return offset;
}

function refuseUnknown(
  reader: HeaderReader,
  incompatible: FeatureBits,
  start: number,
  end: number,
): void {
  const known: readonly number[] = Object.values(INCOMPATIBLE);
  const unknown = featureNumbers(incompatible).filter((bit) => !known.includes(bit));
  if (unknown.length > 0) {
    const names = namesOf(reader, start, end);
    const list = unknown.map((bit) => names.get(bit) ?? `incompatible feature ${bit}`).join(', ');
    throw reader.error(
      'UNSUPPORTED',
      FIELD.incompatible,
      `the image uses unknown features: ${list}`,
      'Use a newer version of Lamella or the program that made the image.',
    );
  }
}

/** Names that the image itself gives to incompatible features; an unreadable table gives none. */
function namesOf(reader: HeaderReader, start: number, end: number): Map<number, string> {
  try {
    const extensions = parseExtensions(reader.bytes, start, end, reader.location);
    const table = findExtension(extensions, EXTENSION.featureNames);
    const names = table === undefined ? KNOWN_FEATURES : parseFeatureNames(table.data);
    return new Map(
      names.filter(({ kind }) => kind === 'incompatible').map(({ bit, name }) => [bit, name]),
    );
  } catch (error) {
    if (error instanceof LamellaError) {
      return new Map();
    }
    throw error;
  }
}

function parseCryptMethod(reader: HeaderReader): CryptMethod {
  const method = reader.uint32(FIELD.cryptMethod);
  if (method === 0 || method === 1 || method === 2) {
    return method;
  }
  throw reader.error(
    'UNSUPPORTED',
    FIELD.cryptMethod,
    `encryption method ${method} is unknown`,
    '0 (none), 1 (AES) and 2 (LUKS) are defined.',
  );
}

function parseRefcountOrder(reader: HeaderReader): number {
  const order = reader.uint32(FIELD.refcountOrder);
  if (order > 6) {
    throw reader.error(
      'INVALID_HEADER',
      FIELD.refcountOrder,
      `refcount_order is ${order}`,
      'It must be from 0 to 6.',
    );
  }
  return order;
}

function parseCompressionType(
  reader: HeaderReader,
  incompatible: FeatureBits,
  headerLength: number,
): CompressionType {
  const present = headerLength > FIELD.compressionType;
  const type = present ? (reader.bytes[FIELD.compressionType] ?? 0) : 0;
  if (hasFeature(incompatible, INCOMPATIBLE.compressionType) !== type > 0) {
    throw reader.error(
      'INVALID_HEADER',
      FIELD.compressionType,
      `compression_type is ${present ? type : 'absent'}`,
      'It must be other than 0 exactly when the compression type bit is set.',
    );
  }
  const name = COMPRESSION_TYPES[type];
  if (name === undefined) {
    throw reader.error(
      'UNSUPPORTED',
      FIELD.compressionType,
      `compression type ${type} is unknown`,
      '0 (zlib) and 1 (zstd) are defined.',
    );
  }
  return name;
}

function parseBacking(
  reader: HeaderReader,
  extensions: readonly HeaderExtension[],
): Reference | undefined {
  const offset = reader.uint64(FIELD.backingOffset, 'backing_file_offset');
  const length = reader.uint32(FIELD.backingLength);
  if (offset === 0 || length === 0) {
    return undefined;
  }
  const format = findExtension(extensions, EXTENSION.backingFormat)?.data;
  return {
    location: decodeName(reader, reader.bytes.subarray(offset, offset + length), offset),
    format:
      format === undefined || format.length === 0
        ? undefined
        : decodeName(reader, format, FIELD.backingOffset),
  };
}

function parseDataFile(
  reader: HeaderReader,
  incompatible: FeatureBits,
  extensions: readonly HeaderExtension[],
): string | undefined {
  const name = findExtension(extensions, EXTENSION.externalDataFile)?.data;
  const given = name !== undefined && name.length > 0;
  return given && hasFeature(incompatible, INCOMPATIBLE.externalDataFile)
    ? decodeName(reader, name, reader.uint32(FIELD.headerLength))
    : undefined;
}

/** A name that is not UTF-8 would lead to another file than the image means. */
function decodeName(reader: HeaderReader, bytes: Uint8Array, offset: number): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new LamellaError(
      'INVALID_HEADER',
      'the name of a file or format in the header is not UTF-8',
      {
        location: reader.location,
        offset,
        hint: 'Rename the file to a name that is UTF-8, and change the image with qemu-img rebase or amend.',
        cause,
      },
    );
  }
}
