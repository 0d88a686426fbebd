import {
  isPowerOfTwo,
  LamellaError,
  type OptionSchema,
  type OptionValues,
  parseOptions,
} from '@lamella/core';
import { AMEND_KEY_OPTIONS } from '../encryption/luks/amend.js';
import { unsupported } from '../errors.js';

const CREATION_ONLY = [
  'cluster_size',
  'extended_l2',
  'compression_type',
  'preallocation',
  'keep_data_file',
  'encryption',
  'encrypt.format',
  'encrypt.cipher-alg',
  'encrypt.cipher-mode',
  'encrypt.ivgen-alg',
  'encrypt.ivgen-hash-alg',
  'encrypt.hash-alg',
];

/** Options that can be changed, as qemu-img calls them. */
export const AMEND_OPTIONS: OptionSchema = {
  compat: {
    type: 'string',
    description: 'Compatibility level (v2 [0.10] or v3 [1.1])',
    choices: ['1.1', '0.10', 'v3', 'v2'],
  },
  lazy_refcounts: {
    type: 'boolean',
    description: 'Postpone refcount updates',
  },
  refcount_bits: {
    type: 'number',
    description: 'Width of a reference count entry in bits',
  },
  size: { type: 'size', description: 'Virtual disk size' },
  backing_file: {
    type: 'string',
    description: 'File name of a base image',
  },
  backing_fmt: { type: 'string', description: 'Image format of the base image' },
  data_file: { type: 'string', description: 'File name of an external data file' },
  data_file_raw: {
    type: 'boolean',
    description: 'The external data file must stay valid as a raw image',
  },
  ...AMEND_KEY_OPTIONS,
};

/** Checked options of an amendment; undefined for what stays. */
export interface AmendRequest {
  readonly version: 2 | 3 | undefined;
  readonly lazyRefcounts: boolean | undefined;
  readonly refcountOrder: number | undefined;
  /** Bytes. */
  readonly size: number | undefined;
  /** Name of the backing file, empty for none. */
  readonly backingFile: string | undefined;
  readonly backingFormat: string | undefined;
  readonly dataFile: string | undefined;
  readonly dataFileRaw: boolean | undefined;
  /** Options that change keys, if there are any. */
  readonly keys: OptionValues | undefined;
}

/**
 * Checks amend options.
 *
 * @throws LamellaError `INVALID_ARGUMENT`; `UNSUPPORTED` for what is settled when an image is made
 */
export function readAmendOptions(options: OptionValues, location: string): AmendRequest {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const fixed = CREATION_ONLY.find((name) => given[name] !== undefined);
  if (fixed !== undefined) {
    throw unsupported(
      location,
      `${fixed} is settled when an image is made`,
      'Convert the image to a new one.',
    );
  }
  const values = parseOptions(AMEND_OPTIONS, given, 'amending a qcow2 image');
  const keys = Object.fromEntries(
    Object.entries(given).filter(([name]) => name.startsWith('encrypt.')),
  );
  const { compat } = values;
  return {
    version: compat === undefined ? undefined : compat === '0.10' || compat === 'v2' ? 2 : 3,
    lazyRefcounts: typeof values.lazy_refcounts === 'boolean' ? values.lazy_refcounts : undefined,
    refcountOrder: refcountOrder(values.refcount_bits, location),
    size: typeof values.size === 'number' ? values.size : undefined,
    backingFile: text(values.backing_file),
    backingFormat: text(values.backing_fmt),
    dataFile: text(values.data_file),
    dataFileRaw: typeof values.data_file_raw === 'boolean' ? values.data_file_raw : undefined,
    keys: Object.keys(keys).length === 0 ? undefined : keys,
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function refcountOrder(value: unknown, location: string): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  const bits = Number(value);
  if (!isPowerOfTwo(bits) || bits > 64) {
    throw new LamellaError('INVALID_ARGUMENT', `refcounts cannot have ${bits} bits`, {
      location,
      hint: 'Use 1, 2, 4, 8, 16, 32 or 64.',
    });
  }
  return Math.log2(bits);
}
