import {
  type CryptoPlatform,
  LamellaError,
  type OpenOptions,
  parseOptions,
  type Storage,
} from '@lamella/core';
import type { Header } from '../header/header.js';
import { ImageEncryption } from './image-encryption.js';
import { legacyAes } from './legacy-aes.js';
import { LuksVolume } from './luks/luks-volume.js';
import { ENCRYPTION_OPEN_OPTIONS, noCrypto } from './options.js';
import { passphraseBytes } from './passphrase.js';
import { checkedPointer } from './pointer.js';

/**
 * Opens the encryption of an image by its passphrase.
 *
 * @returns undefined for an image that is not encrypted
 * @throws LamellaError `INVALID_ARGUMENT`, `PASSPHRASE_REQUIRED`, `WRONG_PASSPHRASE`, `INVALID_HEADER`, `TRUNCATED`,
 * `UNSUPPORTED`, `LIMIT_EXCEEDED`
 */
export async function openEncryption(
  header: Header,
  storage: Storage,
  options: OpenOptions,
  crypto: CryptoPlatform | undefined,
): Promise<ImageEncryption | undefined> {
  const values = parseOptions(
    ENCRYPTION_OPEN_OPTIONS,
    options.options ?? {},
    'opening a qcow2 image',
  );
  if (header.cryptMethod === 0) {
    return undefined;
  }
  if (crypto === undefined) {
    throw noCrypto(storage.location);
  }
  if (options.passphrase === undefined) {
    throw new LamellaError('PASSPHRASE_REQUIRED', 'the image is encrypted', {
      location: storage.location,
      hint: 'Open it with its passphrase.',
    });
  }
  const passphrase = passphraseBytes(options.passphrase);
  if (header.cryptMethod === 1) {
    const cipher = legacyAes(crypto, passphrase);
    return new ImageEncryption({ cipher, numbering: 'guest', luks: undefined, key: undefined });
  }
  const most = Number(values['encrypt.max-iterations']);
  const luks = await LuksVolume.open(crypto, storage, checkedPointer(header, storage), most);
  const { key } = await luks.unlock(passphrase);
  return new ImageEncryption({ cipher: luks.dataCipher(key), numbering: 'host', luks, key });
}
