import { isLamellaError } from '../errors/index.js';
import type { Storage } from '../storage/index.js';

/** Key of an encrypted image: text counts as UTF-8. Never logged, never part of a message. */
export type Passphrase = string | Uint8Array;

/**
 * Gives the passphrases of encrypted images as they turn up.
 *
 * @param location - the image, as the chain names it
 * @param depth - how many layers lie above it: 0 for the top image
 * @returns undefined for one that is not known
 */
export type PassphraseSource = (
  location: string,
  depth: number,
) => Passphrase | undefined | Promise<Passphrase | undefined>;

/** Opens an image and, if it wants a passphrase that was not given, asks for it and opens it again. */
export async function openUnlocked<T>(
  { location }: Storage,
  { passphrase, passphrases, chain = [] }: Passphrases,
  open: (passphrase: Passphrase | undefined) => Promise<T>,
): Promise<T> {
  try {
    return await open(passphrase);
  } catch (error) {
    const asked =
      isLamellaError(error, 'PASSPHRASE_REQUIRED') && passphrase === undefined
        ? await passphrases?.(location, chain.length)
        : undefined;
    if (asked === undefined) {
      throw error;
    }
    return open(asked);
  }
}

/** A passphrase, and whom to ask if there is none. */
interface Passphrases {
  readonly passphrase?: Passphrase | undefined;
  readonly passphrases?: PassphraseSource | undefined;
  /** The layers above. */
  readonly chain?: readonly unknown[] | undefined;
}
