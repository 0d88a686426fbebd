import type { ChainOptions } from '../chain/index.js';

/** How the image that an operation changes is opened, and the chain below it. */
export type ChangedImageOptions = Pick<
  ChainOptions,
  | 'format'
  | 'options'
  | 'references'
  | 'maxDepth'
  | 'cacheSize'
  | 'dataFile'
  | 'dataFilesBeside'
  | 'cache'
  | 'passphrase'
  | 'passphrases'
>;

/** The same for a chain that is opened for writing, without what else an operation's options hold. */
export function changedImage({
  format,
  options,
  references,
  maxDepth,
  cacheSize,
  dataFile,
  dataFilesBeside,
  cache,
  passphrase,
  passphrases,
}: ChangedImageOptions): ChainOptions {
  return {
    format,
    options,
    references,
    maxDepth,
    cacheSize,
    dataFile,
    dataFilesBeside,
    cache,
    passphrase,
    passphrases,
    writable: true,
  };
}
