import type { InjectionToken } from 'tsyringe';

/** Bytes of an AES block. */
export const AES_BLOCK = 16;

/** Hash functions that image formats name. */
export type HashName = 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512' | 'ripemd160';

/** All {@link HashName}s; a platform may lack some. */
export const HASH_NAMES: readonly HashName[] = [
  'md5',
  'sha1',
  'sha224',
  'sha256',
  'sha384',
  'sha512',
  'ripemd160',
];

/**
 * AES under one key. Inputs are whole blocks of {@link AES_BLOCK} bytes, any number of them, and are left
 * as they are. What is returned is the caller's to change, and valid until the caller drops it.
 */
export interface AesCipher {
  /** Enciphers each block by itself (ECB): the building brick of other modes, many blocks at a time. */
  encryptBlocks(input: Uint8Array): Uint8Array;
  /** Deciphers each block by itself (ECB). */
  decryptBlocks(input: Uint8Array): Uint8Array;
  /**
   * Enciphers one chain of blocks (CBC).
   *
   * @param iv - {@link AES_BLOCK} bytes
   */
  encryptChain(input: Uint8Array, iv: Uint8Array): Uint8Array;
}

/** Cryptography of the platform. Keys and passphrases that it is given appear in no message. */
export interface CryptoPlatform {
  /** The hash functions that work here. */
  readonly hashes: readonly HashName[];

  /**
   * AES under a key.
   *
   * @param key - 16, 24 or 32 bytes
   */
  aes(key: Uint8Array): AesCipher;

  /** The digest of the pieces, one after the other. */
  digest(hash: HashName, pieces: readonly Uint8Array[]): Uint8Array;

  /**
   * Derives a key by PBKDF2 (RFC 8018) with HMAC, away from the thread that runs the program.
   *
   * @param iterations - 1 to 2^31 - 1
   * @param length - bytes of the key
   * @throws LamellaError `UNSUPPORTED` for a hash function that the platform lacks
   */
  pbkdf2(
    hash: HashName,
    secret: Uint8Array,
    salt: Uint8Array,
    iterations: number,
    length: number,
  ): Promise<Uint8Array>;

  /**
   * Bytes that nobody can guess.
   *
   * @param length - bytes, up to 16 MiB
   */
  randomBytes(length: number): Uint8Array;

  /** Whether two secrets are alike, in a time that does not tell where they differ. */
  equal(left: Uint8Array, right: Uint8Array): boolean;
}

/** Token of the {@link CryptoPlatform}; without a registration, encrypted images can't be opened. */
export const CRYPTO_PLATFORM: InjectionToken<CryptoPlatform> = Symbol.for('lamella.CryptoPlatform');
