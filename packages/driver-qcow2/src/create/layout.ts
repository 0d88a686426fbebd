import { alignUp, type CreateOptions, type CryptoPlatform, LamellaError } from '@lamella/core';
import type { NewDataFile } from '../data-file/options.js';
import { luksLength } from '../encryption/luks/create.js';
import type { NewEncryption } from '../encryption/options.js';
import { serialisePointer } from '../encryption/pointer.js';
import { EXTENSION, extensionsLength, type HeaderExtension } from '../header/extensions.js';
import {
  AUTOCLEAR,
  COMPATIBLE,
  type FeatureBits,
  INCOMPATIBLE,
  KNOWN_FEATURES,
  NO_FEATURES,
  serialiseFeatureNames,
  withFeature,
} from '../header/features.js';
import {
  COMPRESSION_TYPES,
  type CryptMethod,
  type Header,
  MAX_L1_BYTES,
  MAX_REFCOUNT_TABLE_BYTES,
  V2_LENGTH,
  V3_WRITTEN_LENGTH,
} from '../header/header.js';
import { type Qcow2CreateOptions, readCreateOptions } from './options.js';
import { type PreallocatedArea, preallocatedClusters } from './preallocate.js';

/**
 * Where everything in a new image goes: header, refcount table, refcount blocks, L1 table, LUKS header, L2
 * tables, preallocated clusters.
 */
export interface Layout {
  readonly header: Header;
  /** All clusters of the new image. */
  readonly clusters: number;
  readonly refcountBlocks: number;
  readonly encryption: NewEncryption | undefined;
  /** Byte offset of the LUKS header, where there is one. */
  readonly luksOffset: number;
  readonly area: PreallocatedArea;
  readonly dataFile: NewDataFile | undefined;
  /** Whether every cluster is mapped to its place in the data file from the start. */
  readonly mapsDataFile: boolean;
  /** Byte offset of the L2 tables: with {@link Layout.mapsDataFile} as many as L1 entries, else the area's. */
  readonly l2Offset: number;
}

/**
 * Plans a new image without touching anything.
 *
 * @param purpose - `measure` for an image that will never be made as planned: its refcount table may have any length
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`
 */
export function planLayout(
  create: CreateOptions,
  crypto: CryptoPlatform | undefined,
  purpose: 'create' | 'measure' = 'create',
): Layout {
  const options = readCreateOptions(create, crypto);
  const clusterSize = 2 ** options.clusterBits;
  const size = roundedSize(create.size);
  const l1Size = l1Entries(size, clusterSize, options.extendedL2);
  const l1Clusters = Math.ceil((l1Size * 8) / clusterSize);
  const luksBytes =
    options.encryption?.method === 'luks' ? luksLength(options.encryption.settings) : 0;
  const luksClusters = Math.ceil(luksBytes / clusterSize);
  const { dataFile } = options;
  const mapsDataFile = dataFile !== undefined && (dataFile.raw || options.preallocation !== 'off');
  const { l2Tables, dataClusters } =
    options.preallocation === 'off' || dataFile !== undefined
      ? { l2Tables: 0, dataClusters: 0 }
      : preallocatedClusters(size, clusterSize, options.extendedL2 ? 16 : 8);
  const l2Clusters = mapsDataFile ? l1Size : l2Tables;
  const others = 1 + l1Clusters + luksClusters + l2Clusters + dataClusters;
  const counted = countClusters(others, clusterSize, 2 ** options.refcountOrder);
  if (purpose === 'create') {
    assertTableLength(counted.tableClusters * clusterSize);
  }
  const l1Offset = (1 + counted.tableClusters + counted.blocks) * clusterSize;
  const luksOffset = l1Offset + l1Clusters * clusterSize;
  const l2Offset = luksOffset + luksClusters * clusterSize;
  const clusters = others + counted.tableClusters + counted.blocks;
  assertLength(clusters * clusterSize);
  const needed: HeaderExtension[] = [];
  if (options.dataFile !== undefined) {
    const data = new TextEncoder().encode(options.dataFile.name);
    needed.push({ type: EXTENSION.externalDataFile, data });
  }
  if (luksBytes > 0) {
    const data = serialisePointer({ offset: luksOffset, length: luksBytes });
    needed.push({ type: EXTENSION.encryption, data });
  }
  return {
    encryption: options.encryption,
    luksOffset,
    dataFile,
    mapsDataFile,
    l2Offset,
    area: {
      preallocation: options.preallocation,
      l2Offset,
      l2Tables,
      dataOffset: l2Offset + l2Tables * clusterSize,
      dataClusters,
    },
    header: {
      version: options.version,
      clusterBits: options.clusterBits,
      size,
      cryptMethod: cryptMethod(options.encryption),
      l1Size,
      l1Offset: l1Size === 0 ? 0 : l1Offset,
      refcountTableOffset: clusterSize,
      refcountTableClusters: counted.tableClusters,
      snapshotCount: 0,
      snapshotsOffset: 0,
      incompatible: incompatibleFeatures(options),
      compatible: withFeature(NO_FEATURES, COMPATIBLE.lazyRefcounts, options.lazyRefcounts),
      autoclear: withFeature(
        NO_FEATURES,
        AUTOCLEAR.rawExternalData,
        options.dataFile?.raw === true,
      ),
      refcountOrder: options.refcountOrder,
      headerLength: options.version === 2 ? V2_LENGTH : V3_WRITTEN_LENGTH,
      compressionType: options.compressionType,
      additional: new Uint8Array(0),
      extensions: newExtensions(create, options, needed),
      backing: create.backing,
      dataFile: options.dataFile?.name,
    },
    clusters,
    refcountBlocks: counted.blocks,
  };
}

function cryptMethod(encryption: NewEncryption | undefined): CryptMethod {
  return encryption === undefined ? 0 : encryption.method === 'aes' ? 1 : 2;
}

function roundedSize(size: number): number {
  if (!Number.isSafeInteger(size) || size < 0 || !Number.isSafeInteger(alignUp(size, 512))) {
    throw new LamellaError('INVALID_ARGUMENT', `a disk cannot have ${size} bytes`, {
      hint: 'Use a whole number from 0 to 8 PiB.',
    });
  }
  return alignUp(size, 512);
}

function l1Entries(size: number, clusterSize: number, extendedL2: boolean): number {
  const entries = Math.ceil(size / (clusterSize * (clusterSize / (extendedL2 ? 16 : 8))));
  if (entries * 8 > MAX_L1_BYTES) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `a disk of ${size} bytes is too large for clusters of ${clusterSize} bytes`,
      { hint: 'Use larger clusters.' },
    );
  }
  return entries;
}

function assertLength(bytes: number): void {
  if (!Number.isSafeInteger(bytes)) {
    throw new LamellaError('LIMIT_EXCEEDED', 'the file would pass 8 PiB', {
      hint: 'Preallocate a smaller disk, or nothing.',
    });
  }
}

/** Clusters of the refcount structures that describe `others` clusters and themselves. */
function countClusters(
  others: number,
  clusterSize: number,
  refcountBits: number,
): { readonly tableClusters: number; readonly blocks: number } {
  const perBlock = (clusterSize * 8) / refcountBits;
  let tableClusters = 1;
  let blocks = 1;
  for (;;) {
    const nextBlocks = Math.ceil((others + tableClusters + blocks) / perBlock);
    const nextTable = Math.ceil((nextBlocks * 8) / clusterSize);
    if (nextBlocks <= blocks && nextTable <= tableClusters) {
      break;
    }
    blocks = Math.max(blocks, nextBlocks);
    tableClusters = Math.max(tableClusters, nextTable);
  }
  return { tableClusters, blocks };
}

function assertTableLength(bytes: number): void {
  if (bytes > MAX_REFCOUNT_TABLE_BYTES) {
    throw new LamellaError('LIMIT_EXCEEDED', 'the refcount table would pass 8 MiB', {
      hint: 'Use larger clusters or narrower refcounts.',
    });
  }
}

function incompatibleFeatures(options: Qcow2CreateOptions): FeatureBits {
  const compression = COMPRESSION_TYPES.indexOf(options.compressionType) > 0;
  const dataFile = options.dataFile !== undefined;
  return withFeature(
    withFeature(
      withFeature(NO_FEATURES, INCOMPATIBLE.externalDataFile, dataFile),
      INCOMPATIBLE.compressionType,
      compression,
    ),
    INCOMPATIBLE.extendedL2,
    options.extendedL2,
  );
}

/** The feature name table is only for messages: it is left out where the names of files need its room. */
function newExtensions(
  create: CreateOptions,
  options: Qcow2CreateOptions,
  required: readonly HeaderExtension[],
): HeaderExtension[] {
  const encoder = new TextEncoder();
  const format = create.backing?.format;
  const needed: HeaderExtension[] =
    format === undefined
      ? [...required]
      : [{ type: EXTENSION.backingFormat, data: encoder.encode(format) }, ...required];
  const nameLength = encoder.encode(create.backing?.location ?? '').length;
  const room = 2 ** options.clusterBits - nameLength;
  if (options.version === 2) {
    assertRoom(V2_LENGTH + extensionsLength(needed), room);
    return needed;
  }
  assertRoom(V3_WRITTEN_LENGTH + extensionsLength(needed), room);
  const names = { type: EXTENSION.featureNames, data: serialiseFeatureNames(KNOWN_FEATURES) };
  const all = [...needed, names];
  return V3_WRITTEN_LENGTH + extensionsLength(all) <= room ? all : needed;
}

function assertRoom(needed: number, room: number): void {
  if (needed > room) {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      'the names of other files do not fit into the header',
      {
        hint: 'Use larger clusters or shorter names.',
      },
    );
  }
}
