import {
  type CreateOptions,
  type CryptoPlatform,
  HASH_NAMES,
  LamellaError,
  type OptionSchema,
  type OptionValue,
  PLACE_OF_KEY_SECRET,
} from '@lamella/core';
import {
  CIPHERS,
  type CipherSpec,
  ESSIV_HASHES,
  IV_GENERATORS,
  MODES,
} from './cipher/cipher-spec.js';
import { iterTime } from './luks/amend.js';
import type { LuksSettings } from './luks/create.js';
import { passphraseBytes } from './passphrase.js';

/** Options of new encrypted images, as qemu-img calls them. */
export const ENCRYPTION_OPTIONS: OptionSchema = {
  encryption: {
    type: 'boolean',
    description: "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)",
  },
  'encrypt.format': {
    type: 'string',
    description: "Encrypt the image, format choices: 'aes', 'luks'",
    choices: ['luks', 'aes'],
  },
  ...PLACE_OF_KEY_SECRET,
  'encrypt.cipher-alg': {
    type: 'string',
    description: 'Name of encryption cipher algorithm',
    choices: CIPHERS,
  },
  'encrypt.cipher-mode': {
    type: 'string',
    description: 'Name of encryption cipher mode',
    choices: MODES,
  },
  'encrypt.ivgen-alg': {
    type: 'string',
    description: 'Name of IV generator algorithm',
    choices: IV_GENERATORS,
  },
  'encrypt.ivgen-hash-alg': {
    type: 'string',
    description: 'Name of IV generator hash algorithm',
    choices: ESSIV_HASHES,
  },
  'encrypt.hash-alg': {
    type: 'string',
    description: 'Name of encryption hash algorithm',
    choices: HASH_NAMES,
  },
  'encrypt.iter-time': {
    type: 'number',
    description: 'Time to spend in PBKDF in milliseconds',
  },
};

/** Options of opening encrypted images. */
export const ENCRYPTION_OPEN_OPTIONS: OptionSchema = {
  'encrypt.max-iterations': {
    type: 'number',
    description: 'Most iterations of key derivation for one key; protects from hostile images',
    default: 2 ** 24,
  },
};

/** How a new image is to be encrypted. */
export type NewEncryption =
  | { readonly method: 'aes' }
  | { readonly method: 'luks'; readonly settings: LuksSettings; readonly passphrase: Uint8Array };

/**
 * Reads the encryption of a new image from its options.
 *
 * @param values - of {@link ENCRYPTION_OPTIONS} and others, checked
 * @returns undefined for none
 * @throws LamellaError `INVALID_ARGUMENT`, `UNSUPPORTED`, `PASSPHRASE_REQUIRED`
 */
export function readEncryption(
  values: Readonly<Record<string, OptionValue>>,
  { passphrase }: Pick<CreateOptions, 'passphrase'>,
  crypto: CryptoPlatform | undefined,
): NewEncryption | undefined {
  const format = values['encrypt.format'] ?? (values.encryption === true ? 'aes' : undefined);
  const details = Object.keys(values).filter((name) => name.startsWith('encrypt.'));
  if (format === undefined) {
    if (details.length > 0 || passphrase !== undefined) {
      throw refuse(
        `${details[0] ?? 'a passphrase'} was given, but the image is not to be encrypted`,
        "Say encrypt.format: 'luks'.",
      );
    }
    return undefined;
  }
  if (values['encrypt.format'] !== undefined && values.encryption === true) {
    throw refuse('encryption=on is another name of encrypt.format', 'Leave encryption out.');
  }
  if (passphrase === undefined) {
    throw new LamellaError('PASSPHRASE_REQUIRED', 'an encrypted image needs a passphrase', {
      hint: 'Give `passphrase`.',
    });
  }
  if (crypto === undefined) {
    throw noCrypto(undefined);
  }
  if (format === 'aes') {
    const extra = details.find((name) => name !== 'encrypt.format');
    if (extra !== undefined) {
      throw refuse(`the method aes has no ${extra}`, "Say encrypt.format: 'luks'.");
    }
    return { method: 'aes' };
  }
  return {
    method: 'luks',
    settings: readSettings(values, crypto),
    passphrase: passphraseBytes(passphrase),
  };
}

/** The error of whoever needs cryptography where the platform gives none. */
export function noCrypto(location: string | undefined): LamellaError {
  return new LamellaError('UNSUPPORTED', 'there is no cryptography for encrypted images', {
    location,
    hint: 'Register a CryptoPlatform under CRYPTO_PLATFORM.',
  });
}

function readSettings(
  values: Readonly<Record<string, OptionValue>>,
  crypto: CryptoPlatform,
): LuksSettings {
  const hashName = values['encrypt.hash-alg'] ?? 'sha256';
  const hash = crypto.hashes.find((name) => name === hashName);
  if (hash === undefined) {
    throw new LamellaError('UNSUPPORTED', `this platform has no ${hashName}`, {
      hint: `It has ${crypto.hashes.join(', ')}.`,
    });
  }
  const spec = readSpec(values);
  if (spec.cipher === 'aes-192' && spec.mode !== 'xts') {
    throw new LamellaError(
      'UNSUPPORTED',
      `QEMU crashes when it opens an image with aes-192 in mode ${spec.mode}`,
      { hint: 'Use aes-128 or aes-256, or mode xts.' },
    );
  }
  return { spec, hash, iterTime: iterTime(values['encrypt.iter-time']) };
}

function readSpec(values: Readonly<Record<string, OptionValue>>): CipherSpec {
  const ivGenerator =
    IV_GENERATORS.find((name) => name === values['encrypt.ivgen-alg']) ?? 'plain64';
  const ivHash = ESSIV_HASHES.find((name) => name === values['encrypt.ivgen-hash-alg']);
  return {
    cipher: CIPHERS.find((name) => name === values['encrypt.cipher-alg']) ?? 'aes-256',
    mode: MODES.find((name) => name === values['encrypt.cipher-mode']) ?? 'xts',
    ivGenerator,
    ivHash: ivGenerator === 'essiv' ? (ivHash ?? 'sha256') : undefined,
  };
}

function refuse(problem: string, hint: string): LamellaError {
  return new LamellaError('INVALID_ARGUMENT', problem, { hint });
}
