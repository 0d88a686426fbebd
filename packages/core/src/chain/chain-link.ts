import { LamellaError } from '../errors/index.js';
import type { Storage } from '../storage/index.js';

/** The open files of one layer. */
export interface ChainLink {
  /** Where the image lives. */
  readonly storage: Storage;
  /** Where it keeps the guest's data, if that is another file. */
  readonly dataFile?: Storage | undefined;
  /** Format of the image. */
  readonly format: string;
}

/**
 * Refuses a file that a chain uses already.
 *
 * @param chain - open files, top first
 * @throws LamellaError `CHAIN_LOOP`
 */
export function assertNotIn(
  chain: readonly ChainLink[],
  { identity, location }: Pick<Storage, 'identity' | 'location'>,
): void {
  const used = chain.some(
    ({ storage, dataFile }) =>
      identity !== undefined && (storage.identity === identity || dataFile?.identity === identity),
  );
  if (used) {
    throw new LamellaError('CHAIN_LOOP', 'the same file would be in the chain twice', {
      location: chain.at(-1)?.storage.location,
      chain: [...locations(chain), location],
      hint: 'Rebase one of these images onto the right backing file, or leave one out.',
    });
  }
}

/** Where the images of a chain live, top first. */
export function locations(chain: readonly ChainLink[]): string[] {
  return chain.map(({ storage }) => storage.location);
}
