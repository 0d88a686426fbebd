import {
  type CreateOptions,
  type CryptoPlatform,
  isPowerOfTwo,
  LamellaError,
  type OptionSchema,
  PLACE_OF_BACKING,
  PLACE_OF_SIZE,
  PREALLOCATIONS,
  type Preallocation,
  parseOptions,
} from '@lamella/core';
import { DATA_FILE_OPTIONS, type NewDataFile, readDataFile } from '../data-file/options.js';
import { ENCRYPTION_OPTIONS, type NewEncryption, readEncryption } from '../encryption/options.js';
import { COMPRESSION_TYPES, type CompressionType, MAX_BACKING_NAME } from '../header/header.js';

/** Options of new images, under the names and in the order of qemu-img. */
export const CREATE_OPTIONS: OptionSchema = {
  ...ENCRYPTION_OPTIONS,
  cluster_size: {
    type: 'size',
    description: 'qcow2 cluster size',
    default: 65536,
  },
  extended_l2: {
    type: 'boolean',
    description: 'Extended L2 tables',
    default: false,
  },
  preallocation: {
    type: 'string',
    description: 'Preallocation mode (allowed values: off, metadata, falloc, full)',
    choices: PREALLOCATIONS,
  },
  compression_type: {
    type: 'string',
    description: 'Compression method used for image cluster compression',
    default: 'zlib',
    choices: COMPRESSION_TYPES,
  },
  ...PLACE_OF_SIZE,
  compat: {
    type: 'string',
    description: 'Compatibility level (v2 [0.10] or v3 [1.1])',
    choices: ['1.1', '0.10', 'v3', 'v2'],
  },
  ...PLACE_OF_BACKING,
  ...DATA_FILE_OPTIONS,
  lazy_refcounts: {
    type: 'boolean',
    description: 'Postpone refcount updates',
    default: false,
  },
  refcount_bits: {
    type: 'number',
    description: 'Width of a reference count entry in bits',
    default: 16,
  },
};

/** Checked options of a new image. */
export interface Qcow2CreateOptions {
  readonly version: 2 | 3;
  /** 9..21. */
  readonly clusterBits: number;
  /** 0..6. */
  readonly refcountOrder: number;
  readonly lazyRefcounts: boolean;
  readonly extendedL2: boolean;
  readonly compressionType: CompressionType;
  readonly preallocation: Preallocation;
  readonly dataFile: NewDataFile | undefined;
  readonly encryption: NewEncryption | undefined;
}

/**
 * Checks create options and how they go together.
 *
 * @throws LamellaError `INVALID_ARGUMENT`, `UNSUPPORTED`, `PASSPHRASE_REQUIRED`
 */
export function readCreateOptions(
  options: CreateOptions,
  crypto: CryptoPlatform | undefined,
): Qcow2CreateOptions {
  const values = parseOptions(CREATE_OPTIONS, options.options, 'creating a qcow2 image');
  const clusterSize = Number(values.cluster_size);
  const refcountBits = Number(values.refcount_bits);
  const compressionType = COMPRESSION_TYPES.find((name) => name === values.compression_type);
  const version = values.compat === '0.10' || values.compat === 'v2' ? 2 : 3;
  const checked: Qcow2CreateOptions = {
    version,
    clusterBits: Math.log2(clusterSize),
    refcountOrder: Math.log2(refcountBits),
    lazyRefcounts: values.lazy_refcounts === true,
    extendedL2: values.extended_l2 === true,
    compressionType: compressionType ?? 'zlib',
    preallocation: PREALLOCATIONS.find((name) => name === values.preallocation) ?? 'off',
    dataFile: readDataFile(values, version, options),
    encryption: readEncryption(values, options, crypto),
  };
  if (!isPowerOfTwo(clusterSize) || clusterSize < 512 || clusterSize > 2 ** 21) {
    refuse(`the cluster size cannot be ${clusterSize}`, 'Use a power of two from 512 to 2M.');
  }
  if (!isPowerOfTwo(refcountBits) || refcountBits > 64) {
    refuse(`refcounts cannot have ${refcountBits} bits`, 'Use 1, 2, 4, 8, 16, 32 or 64.');
  }
  assertCombination(checked);
  assertBacking(options);
  if (checked.preallocation !== 'off' && options.backing !== undefined && !checked.extendedL2) {
    refuse(
      'a backing file and preallocation go together only with extended L2 entries',
      'Say extended_l2=on, or leave one of them out.',
    );
  }
  return checked;
}

function assertCombination(options: Qcow2CreateOptions): void {
  if (options.extendedL2 && options.clusterBits < 14) {
    refuse('extended L2 entries need clusters of at least 16k', 'Raise cluster_size.');
  }
  if (options.version === 3) {
    return;
  }
  const needsVersion3 = 'Use compat=1.1.';
  if (options.refcountOrder !== 4) {
    refuse('compat=0.10 has 16-bit refcounts only', needsVersion3);
  }
  if (options.lazyRefcounts) {
    refuse('compat=0.10 has no lazy refcounts', needsVersion3);
  }
  if (options.extendedL2) {
    refuse('compat=0.10 has no extended L2 entries', needsVersion3);
  }
  if (options.compressionType !== 'zlib') {
    refuse('compat=0.10 has zlib compression only', needsVersion3);
  }
}

function assertBacking({ backing }: CreateOptions): void {
  if (backing === undefined) {
    return;
  }
  const length = new TextEncoder().encode(backing.location).length;
  if (length === 0 || length > MAX_BACKING_NAME) {
    refuse(
      `the backing file name has ${length} bytes`,
      `It must have from 1 to ${MAX_BACKING_NAME}.`,
    );
  }
}

function refuse(problem: string, hint: string): never {
  throw new LamellaError('INVALID_ARGUMENT', problem, { hint });
}
