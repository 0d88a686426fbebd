/** A way to use a block cipher on sectors. */
export interface SectorMode {
  /**
   * Enciphers sectors in place.
   *
   * @param sectors - whole sectors of 512 bytes
   * @param ivs - an initialisation vector of 16 bytes for each sector
   */
  encrypt(sectors: Uint8Array, ivs: Uint8Array): void;
  /** Deciphers sectors in place; parameters as of {@link SectorMode.encrypt}. */
  decrypt(sectors: Uint8Array, ivs: Uint8Array): void;
}
