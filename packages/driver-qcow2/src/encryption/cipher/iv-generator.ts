import { AES_BLOCK, type CryptoPlatform, type HashName, viewOf } from '@lamella/core';

const TWO_32 = 0x1_0000_0000;

/**
 * Makes the initialisation vectors of consecutive sectors.
 *
 * @returns 16 bytes for each sector
 */
export type IvGenerator = (firstSector: number, count: number) => Uint8Array;

/** `plain64`: the sector number as 64 bits, little-endian. */
export const plain64: IvGenerator = (firstSector, count) => {
  const ivs = new Uint8Array(count * AES_BLOCK);
  const view = viewOf(ivs);
  for (let index = 0; index < count; index += 1) {
    const sector = firstSector + index;
    view.setUint32(index * AES_BLOCK, sector % TWO_32, true);
    view.setUint32(index * AES_BLOCK + 4, Math.floor(sector / TWO_32), true);
  }
  return ivs;
};

/** `plain`: the lower 32 bits of the sector number, so vectors come again after 2 TiB. */
export const plain: IvGenerator = (firstSector, count) => {
  const ivs = new Uint8Array(count * AES_BLOCK);
  const view = viewOf(ivs);
  for (let index = 0; index < count; index += 1) {
    view.setUint32(index * AES_BLOCK, (firstSector + index) % TWO_32, true);
  }
  return ivs;
};

/**
 * `essiv`: the `plain64` vector, enciphered by AES under the hash of the key.
 *
 * @param hash - one whose digest is an AES key: `sha256` or `md5`
 */
export function essiv(crypto: CryptoPlatform, hash: HashName, key: Uint8Array): IvGenerator {
  const salt = crypto.digest(hash, [key]);
  const aes = crypto.aes(salt);
  salt.fill(0);
  return (firstSector, count) => aes.encryptBlocks(plain64(firstSector, count));
}
