import type { LamellaError } from 'lamella';
import { problemText } from './problem.js';

/**
 * What is said of a change that can't be made, where that differs from what is said of a new image.
 *
 * @param options - the list of the command line
 */
export function amendProblem(error: LamellaError, options: string): string {
  const asked = options.includes('refcount_bits') ? [REFCOUNT_WIDTH, ...PROBLEMS] : PROBLEMS;
  for (const [pattern, text] of asked) {
    const match = pattern.exec(error.problem);
    if (match !== null) {
      return text(...match.slice(1));
    }
  }
  return problemText(error);
}

type Problem = readonly [RegExp, (...groups: readonly string[]) => string];

const REFCOUNT_WIDTH: Problem = [
  /^compat=0\.10 has refcounts of 16 bits only/,
  () =>
    'Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)',
];

const PROBLEMS: readonly Problem[] = [
  [/^option 'compat' for .* cannot be '(.*)'$/, (level) => `Unknown compatibility level ${level}`],
  [
    /^compat=0\.10 has no lazy refcounts$/,
    () =>
      'Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)',
  ],
  [
    /^the cluster at byte (\d+) has a refcount of (\d+), which does not fit into (\d+) bits$/,
    (offset, refcount, bits) =>
      `Cannot decrease refcount entry width to ${bits} bits: Cluster at offset ` +
      `0x${Number(offset).toString(16)} has a refcount of ${refcount}`,
  ],
  [
    /^compat=0\.10 has no compression by zstd$/,
    () => 'Cannot downgrade an image with zstd compression type and existing compressed clusters',
  ],
  [
    /^only an image with an external data file can be given another name for it$/,
    () => 'data-file can only be set for images that use an external data file',
  ],
  [
    /^data_file_raw can't be turned on for an image that exists$/,
    () => 'data-file-raw cannot be set on existing images',
  ],
  [
    /^no key would be left and the data would be lost$/,
    () =>
      'All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image irreversibly - refusing operation',
  ],
  [
    /^key slot (\d+) is the last one in use/,
    (slot) =>
      `Attempt to erase the only active keyslot ${slot} which will erase all the data in the image irreversibly - refusing operation`,
  ],
  [
    /^no key to erase opens with this passphrase$/,
    () => 'No keyslots match given (old) password for erase operation',
  ],
  [
    /^key slot (\d+) does not open with this passphrase$/,
    (slot) => `Given keyslot ${slot} doesn't contain the given old password for erase operation`,
  ],
  [
    /^key slot (\d+) is not in use$/,
    (slot) => `Given keyslot ${slot} is already erased (inactive) `,
  ],
  [
    /^key slot (\d+) is in use$/,
    (slot) => `Refusing to overwrite active keyslot ${slot} - please erase it first`,
  ],
  [
    /^there is no key slot (-?\d+)$/,
    (slot) => `Invalid keyslot ${slot} specified, must be between 0 and 7`,
  ],
  [/^all key slots are in use$/, () => "Can't add a keyslot - all keyslots are in use"],
  [
    /^adding a key needs 'encrypt\.new-secret'$/,
    () => "'new-secret' is required to activate a keyslot",
  ],
  [
    /^erasing keys needs to know which$/,
    () =>
      'To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given',
  ],
  [
    /^erasing keys takes no new passphrase$/,
    () => "'new-secret' must not be given when erasing keyslots",
  ],
];
