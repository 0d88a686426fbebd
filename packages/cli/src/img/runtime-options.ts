import type { OptionValue } from 'lamella';
import { Failure } from '../command-line/failure.js';
import { isFlag } from '../command-line/option-list.js';
import { parseSizeText } from '../command-line/size.js';
import { assertCaches, assertCachesFit } from './cache-options.js';

/** Checks a value, which is a text of `--image-opts` or a value of a `json:` name. */
type Check = (value: string, key: string) => void;

const flag: Check = (value, key) => {
  if (!isFlag(value)) {
    throw new Failure(`Parameter '${key}' expects 'on' or 'off'`);
  }
};

const count: Check = (value, key) => {
  if (!/^\s*[+-]?(0x[0-9a-f]+|\d+)$/i.test(value)) {
    throw new Failure(`Parameter '${key}' expects a number`);
  }
};

const size: Check = (value, key) => {
  if (parseSizeText(value).bytes === undefined) {
    throw new Failure(
      `Parameter '${key}' expects a non-negative number below 2^64\n` +
        'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n' +
        'and exabytes, respectively.',
    );
  }
};

const anything: Check = () => undefined;

function oneOf(values: readonly string[], message = 'invalid parameter value: $'): Check {
  return (value) => {
    if (!values.includes(value)) {
      throw new Failure(message.replace('$', value));
    }
  };
}

/** What every image and every storage has: how the block layer treats it. */
const GENERIC: Readonly<Record<string, Check>> = {
  'read-only': flag,
  'auto-read-only': flag,
  'force-share': flag,
  'cache.direct': flag,
  'cache.no-flush': flag,
  'node-name': (value) => {
    if (!/^[a-z][a-z0-9._-]{0,30}$/i.test(value)) {
      throw new Failure(`Invalid node-name: '${value}'`);
    }
  },
  'detect-zeroes': oneOf(['off', 'on', 'unmap']),
  discard: oneOf(['ignore', 'off', 'unmap', 'on'], 'Invalid discard option'),
};

const OF_FILES: Readonly<Record<string, Check>> = {
  aio: oneOf(['threads', 'native', 'io_uring']),
  locking: oneOf(['on', 'off', 'auto']),
  'drop-cache': flag,
  'x-check-cache-dropped': flag,
  'aio-max-batch': count,
};

const OVERLAPS = ['none', 'constant', 'cached', 'all'];

const OF_QCOW2: Readonly<Record<string, Check>> = {
  'lazy-refcounts': flag,
  'pass-discard-request': flag,
  'pass-discard-snapshot': flag,
  'pass-discard-other': flag,
  'discard-no-unref': flag,
  'overlap-check': oneOf(
    OVERLAPS,
    `Unsupported value '$' for qcow2 option 'overlap-check'. Allowed are any of the following: ${OVERLAPS.join(', ')}`,
  ),
  'overlap-check.template': oneOf(
    OVERLAPS,
    `Unsupported value '$' for qcow2 option 'overlap-check'. Allowed are any of the following: ${OVERLAPS.join(', ')}`,
  ),
  'cache-size': size,
  'l2-cache-size': size,
  'l2-cache-entry-size': size,
  'refcount-cache-size': size,
  'cache-clean-interval': count,
  'encrypt.format': anything,
};

/** Formats by the options that set them up at run time. */
const OF_FORMATS: Readonly<Record<string, Readonly<Record<string, Check>>>> = { qcow2: OF_QCOW2 };

/**
 * Takes out the options that set up QEMU's block layer and change no content: they have to be right, and do
 * nothing here.
 *
 * @param keys - of one image, `file.` before those of its file
 * @param format - the image's, where it is named; options of formats count for any until then
 * @returns checks what depends on the size of a cluster, in bytes; throws a Failure, too
 * @throws Failure for a wrong value
 */
export function takeRuntimeOptions(
  keys: Map<string, OptionValue>,
  format: string | undefined,
): (clusterSize: number) => void {
  const own = format === undefined ? OF_QCOW2 : (OF_FORMATS[format] ?? {});
  for (const [key, value] of [...keys]) {
    const ofFile = key.startsWith('file.') ? key.slice('file.'.length) : undefined;
    const check =
      ofFile === undefined
        ? (GENERIC[key] ?? own[key] ?? (isOverlapFlag(key) ? flag : undefined))
        : (GENERIC[ofFile] ?? OF_FILES[ofFile]);
    if (check !== undefined) {
      check(typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value), ofFile ?? key);
    }
  }
  assertTogether(keys);
  const given = new Map(keys);
  for (const key of [...keys.keys()]) {
    const ofFile = key.startsWith('file.') ? key.slice('file.'.length) : key;
    const known = ofFile === key ? key in own || isOverlapFlag(key) : ofFile in OF_FILES;
    if (ofFile in GENERIC || known) {
      keys.delete(key);
    }
  }
  return (clusterSize) => assertCachesFit(given, clusterSize);
}

function isOverlapFlag(key: string): boolean {
  return /^overlap-check\.(main-header|active-l[12]|refcount-(table|block)|snapshot-table|inactive-l[12]|bitmap-directory)$/.test(
    key,
  );
}

/** Values that don't go with each other. */
function assertTogether(keys: ReadonlyMap<string, OptionValue>): void {
  const unmaps = ['unmap', 'on'].includes(String(keys.get('discard') ?? ''));
  if (keys.get('detect-zeroes') === 'unmap' && !unmaps) {
    throw new Failure(
      'setting detect-zeroes to unmap is not allowed without setting discard operation to unmap',
    );
  }
  const direct = keys.get('file.cache.direct') ?? keys.get('cache.direct');
  if (keys.get('file.aio') === 'native' && direct !== 'on' && direct !== true) {
    throw new Failure(
      'aio=native was specified, but it requires cache.direct=on, which was not specified.',
    );
  }
  assertCaches(keys);
  const checked = keys.get('overlap-check');
  const template = keys.get('overlap-check.template');
  if (checked !== undefined && template !== undefined && checked !== template) {
    throw new Failure(
      `Conflicting values for qcow2 options 'overlap-check' ('${checked}') and 'overlap-check.template' ('${template}')`,
    );
  }
}
