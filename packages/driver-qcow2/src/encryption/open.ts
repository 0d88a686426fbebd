import {
  type CryptoPlatform,
  type DataCipher,
  LamellaError,
  type OpenOptions,
  parseOptions,
  type Storage,
  viewOf,
  writeUint64,
} from '@lamella/core';
import { EXTENSION, findExtension } from '../header/extensions.js';
import { FIELD, type Header } from '../header/header.js';
import { HeaderReader } from '../header/header-reader.js';
import { ImageEncryption } from './image-encryption.js';
import { legacyAes } from './legacy-aes.js';
import { LUKS_HEADER_LENGTH } from './luks/layout.js';
import { type LuksPointer, LuksVolume } from './luks/luks-volume.js';
import { ENCRYPTION_OPEN_OPTIONS, MAX_ENCRYPTION_HEADER, noCrypto } from './options.js';
import { passphraseBytes } from './passphrase.js';

/** Bytes of the extension's data. */
const POINTER_LENGTH = 16;

/**
 * Opens the encryption of an image by its passphrase. For a check the passphrase may be missing: then only
 * the data can't be read.
 *
 * @returns undefined for an image that is not encrypted
 * @throws LamellaError `PASSPHRASE_REQUIRED`, `WRONG_PASSPHRASE`, `INVALID_HEADER`, `TRUNCATED`,
 * `UNSUPPORTED`, `LIMIT_EXCEEDED`
 */
export async function openEncryption(
  header: Header,
  storage: Storage,
  options: OpenOptions,
  crypto: CryptoPlatform | undefined,
): Promise<ImageEncryption | undefined> {
  if (header.cryptMethod === 0) {
    return undefined;
  }
  if (crypto === undefined) {
    throw noCrypto(storage.location);
  }
  const passphrase =
    options.passphrase === undefined ? undefined : passphraseBytes(options.passphrase);
  const locked = passphrase === undefined && options.forCheck === true;
  if (passphrase === undefined && !locked) {
    throw passphraseRequired(storage.location);
  }
  if (header.cryptMethod === 1) {
    const cipher =
      passphrase === undefined ? lockedCipher(storage.location) : legacyAes(crypto, passphrase);
    return new ImageEncryption({ cipher, numbering: 'guest', luks: undefined, key: undefined });
  }
  const values = parseOptions(
    ENCRYPTION_OPEN_OPTIONS,
    options.options ?? {},
    'opening a qcow2 image',
  );
  const most = Number(values['encrypt.max-iterations']);
  const luks = await LuksVolume.open(crypto, storage, pointer(header, storage), most);
  if (passphrase === undefined) {
    const cipher = lockedCipher(storage.location);
    return new ImageEncryption({ cipher, numbering: 'host', luks, key: undefined });
  }
  const { key } = await luks.unlock(passphrase);
  return new ImageEncryption({ cipher: luks.dataCipher(key), numbering: 'host', luks, key });
}

/** The extension that points to the LUKS header, checked. */
function pointer(header: Header, { size, location }: Storage): LuksPointer {
  const extension = findExtension(header.extensions, EXTENSION.encryption);
  if (extension === undefined || extension.data.length < POINTER_LENGTH) {
    throw new LamellaError(
      'INVALID_HEADER',
      extension === undefined
        ? 'the image is encrypted by LUKS but says not where the LUKS header is'
        : `the pointer to the LUKS header has ${extension.data.length} bytes`,
      {
        location,
        offset: FIELD.cryptMethod,
        hint: `The header extension must be there, with ${POINTER_LENGTH} bytes.`,
      },
    );
  }
  const reader = new HeaderReader(extension.data, location);
  const offset = reader.uint64(0, 'offset of the LUKS header');
  const length = reader.uint64(8, 'length of the LUKS header');
  const refuse = (code: 'INVALID_HEADER' | 'LIMIT_EXCEEDED' | 'TRUNCATED', hint: string): never => {
    throw new LamellaError(
      code,
      `the LUKS header has ${length} bytes at byte ${offset} of the file`,
      { location, offset, hint },
    );
  };
  if (offset === 0 || offset % 2 ** header.clusterBits !== 0) {
    refuse('INVALID_HEADER', 'It must start at a multiple of the cluster size, behind the header.');
  }
  if (length < LUKS_HEADER_LENGTH) {
    refuse('INVALID_HEADER', `It must have at least ${LUKS_HEADER_LENGTH} bytes.`);
  }
  if (length > MAX_ENCRYPTION_HEADER) {
    refuse('LIMIT_EXCEEDED', `At most ${MAX_ENCRYPTION_HEADER} bytes are supported.`);
  }
  if (offset + LUKS_HEADER_LENGTH > size) {
    refuse('TRUNCATED', `The file has ${size} bytes and is incomplete.`);
  }
  return { offset, length };
}

/** The extension's data for a LUKS header; see {@link openEncryption}. */
export function serialisePointer({ offset, length }: LuksPointer): Uint8Array {
  const data = new Uint8Array(POINTER_LENGTH);
  const view = viewOf(data);
  writeUint64(view, 0, offset, 'big');
  writeUint64(view, 8, length, 'big');
  return data;
}

function passphraseRequired(location: string): LamellaError {
  return new LamellaError('PASSPHRASE_REQUIRED', 'the image is encrypted', {
    location,
    hint: 'Open it with its passphrase.',
  });
}

/** Stands in for the cipher of an image that was opened without its passphrase. */
function lockedCipher(location: string): DataCipher {
  const refuse = (): never => {
    throw passphraseRequired(location);
  };
  return { decrypt: refuse, encrypt: refuse };
}
