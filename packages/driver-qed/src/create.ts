import {
  alignUp,
  type CreateOptions,
  isPowerOfTwo,
  LamellaError,
  type OptionSchema,
  type Storage,
} from '@lamella/core';
import { encodeName } from './backing-name.js';
import {
  Geometry,
  MAX_CLUSTER_SIZE,
  MAX_TABLE_SIZE,
  MIN_CLUSTER_SIZE,
  SECTOR_SIZE,
} from './geometry.js';
import { encodeHeader, FEATURE, type HeaderValues } from './header-fields.js';

/** Clusters of a table when nobody says otherwise; the default that needs no telling. */
const DEFAULT_TABLE_SIZE = 4;

/**
 * Create options, named as `qemu-img create -o` names them. The specification allows more than QEMU
 * (7.2) opens: that takes no `table_size` of 1, and no geometry whose largest disk has 2^64 bytes or
 * more.
 */
export const CREATE_OPTIONS: OptionSchema = {
  cluster_size: {
    type: 'size',
    description: 'Cluster size (in bytes)',
    default: 65536,
  },
  table_size: {
    type: 'size',
    description: 'L1/L2 table size (in clusters)',
  },
};

/**
 * What a new image's header will say.
 *
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`
 */
export function planCreate(options: CreateOptions): HeaderValues {
  const clusterSize = powerOfTwo(
    options,
    'cluster_size',
    MIN_CLUSTER_SIZE,
    MAX_CLUSTER_SIZE,
    65536,
  );
  const tableSize = powerOfTwo(options, 'table_size', 1, MAX_TABLE_SIZE, DEFAULT_TABLE_SIZE);
  const imageSize = checkSize(options.size, clusterSize, tableSize);
  return {
    clusterSize,
    tableSize,
    imageSize,
    l1Offset: clusterSize,
    features: options.backing?.format === 'raw' ? FEATURE.backingFormatNoProbe : 0,
    backingName: encodeName(options.backing?.location),
  };
}

/**
 * Writes an empty image: the header cluster and an L1 table of zeroes.
 *
 * @throws LamellaError as {@link planCreate}, `Storage.truncate` and `Storage.write`
 */
export async function createImage(storage: Storage, options: CreateOptions): Promise<void> {
  const values = planCreate(options);
  await storage.truncate(values.clusterSize * (1 + values.tableSize));
  await storage.write(encodeHeader(values), 0);
  await storage.flush();
}

function powerOfTwo(
  options: CreateOptions,
  name: string,
  min: number,
  max: number,
  otherwise: number,
): number {
  const value = options.options[name] ?? otherwise;
  if (typeof value !== 'number' || !isPowerOfTwo(value) || value < min || value > max) {
    throw new LamellaError('INVALID_ARGUMENT', `${name} cannot be ${value} for a QED image`, {
      hint: `Give a power of two from ${min} to ${max}.`,
    });
  }
  return value;
}

function checkSize(size: number, clusterSize: number, tableSize: number): number {
  if (!Number.isInteger(size) || size < 0) {
    throw new LamellaError('INVALID_ARGUMENT', `a disk cannot have ${size} bytes`, {
      hint: 'Give a size of 0 or more whole bytes.',
    });
  }
  const rounded = alignUp(size, SECTOR_SIZE);
  const { maxImageSize } = new Geometry({
    clusterSize,
    tableSize,
    headerSize: 1,
    l1Offset: clusterSize,
  });
  if (rounded > maxImageSize || !Number.isSafeInteger(rounded)) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `${size} bytes are more than a QED image with cluster_size ${clusterSize} and table_size ${tableSize} can have`,
      {
        hint: `The largest disk has ${Math.min(maxImageSize, Number.MAX_SAFE_INTEGER)} bytes; larger clusters or tables allow more.`,
      },
    );
  }
  return rounded;
}
