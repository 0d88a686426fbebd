import { HASH_NAMES, type HashName } from '@lamella/core';

/** Ciphers that can be used, as QEMU calls them. */
export const CIPHERS = ['aes-128', 'aes-192', 'aes-256'] as const;
/** Modes of operation. */
export const MODES = ['xts', 'cbc', 'ecb', 'ctr'] as const;
/** Generators of initialisation vectors. */
export const IV_GENERATORS = ['plain64', 'plain', 'essiv'] as const;
/** Hashes whose digest is an AES key. */
export const ESSIV_HASHES: readonly HashName[] = ['sha256', 'md5'];

/** How sectors are ciphered. */
export interface CipherSpec {
  readonly cipher: (typeof CIPHERS)[number];
  readonly mode: (typeof MODES)[number];
  readonly ivGenerator: (typeof IV_GENERATORS)[number];
  /** With `essiv` only. */
  readonly ivHash: HashName | undefined;
}

/** Bytes of the key: two AES keys with XTS, one otherwise. */
export function keyLength({ cipher, mode }: Pick<CipherSpec, 'cipher' | 'mode'>): number {
  const bits = cipher === 'aes-128' ? 128 : cipher === 'aes-192' ? 192 : 256;
  return (bits / 8) * (mode === 'xts' ? 2 : 1);
}

/** The mode as LUKS headers write it: `xts-plain64`, `cbc-essiv:sha256`. */
export function modeText({ mode, ivGenerator, ivHash }: CipherSpec): string {
  return `${mode}-${ivGenerator}${ivHash === undefined ? '' : `:${ivHash}`}`;
}

/**
 * Reads what {@link modeText} writes.
 *
 * @param keyBytes - bytes of the key, which tell the size of the cipher's own key
 * @returns undefined for what is not known here
 */
export function parseModeText(text: string, keyBytes: number): CipherSpec | undefined {
  const [modeName, iv = 'plain64'] = split(text, '-');
  const [generatorName, hashName] = split(iv, ':');
  const mode = MODES.find((name) => name === modeName);
  const ivGenerator = IV_GENERATORS.find((name) => name === generatorName);
  const ivHash = HASH_NAMES.find((name) => name === hashName);
  if (mode === undefined || ivGenerator === undefined || (hashName !== undefined && !ivHash)) {
    return undefined;
  }
  if (
    (ivGenerator === 'essiv') !== (ivHash !== undefined) ||
    (ivHash && !ESSIV_HASHES.includes(ivHash))
  ) {
    return undefined;
  }
  const cipher = CIPHERS.find((name) => keyLength({ cipher: name, mode }) === keyBytes);
  return cipher === undefined ? undefined : { cipher, mode, ivGenerator, ivHash };
}

function split(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
