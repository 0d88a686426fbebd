import type { Awaitable } from '../bytes/index.js';

/** Bytes that are ciphered as one unit; extents and placements with a cipher are aligned to it. */
export const CIPHER_SECTOR = 512;

/**
 * Ciphers guest data, sector by sector. `position` is the byte position from which the sectors'
 * initialisation vectors follow; what it counts is the format's business.
 */
export interface DataCipher {
  /**
   * Deciphers in place.
   *
   * @param buffer - whole sectors
   * @param position - bytes, a multiple of {@link CIPHER_SECTOR}
   * @throws what the platform's cipher throws
   */
  decrypt(buffer: Uint8Array, position: number): Awaitable<void>;
  /**
   * Ciphers in place.
   *
   * @param buffer - whole sectors
   * @param position - bytes, a multiple of {@link CIPHER_SECTOR}
   * @throws what the platform's cipher throws
   */
  encrypt(buffer: Uint8Array, position: number): Awaitable<void>;
}

/** A cipher and where the initialisation vectors of a range start. */
export interface RangeCipher {
  /** The cipher. */
  readonly cipher: DataCipher;
  /** Byte position of the range's first byte, for the initialisation vectors. */
  readonly position: number;
}
