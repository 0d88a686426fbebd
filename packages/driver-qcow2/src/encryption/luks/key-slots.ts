import type { CryptoPlatform, HashName } from '@lamella/core';
import { keyLength } from '../cipher/cipher-spec.js';
import { sectorCipher } from '../cipher/sector-cipher.js';
import { afMerge, afSplit } from './anti-forensic.js';
import { iterationsFor } from './iterations.js';
import {
  DIGEST_LENGTH,
  type KeySlot,
  keyMaterialLength,
  type LuksHeader,
  SALT_LENGTH,
} from './layout.js';

/** Iterations of the master key's digest are this many times fewer than a slot's, as QEMU does. */
const DIGEST_SHARE = 8;
const MIN_DIGEST_ITERATIONS = 1000;

/** A slot, newly filled, and the key material that belongs into its area. */
export interface SealedSlot {
  readonly slot: KeySlot;
  readonly material: Uint8Array;
}

/**
 * Opens a key slot by a passphrase (LUKS1 on-disk format, figure 6).
 *
 * @param material - the slot's key area; overwritten
 * @returns the master key, or undefined when the passphrase is another one
 */
export async function openSlot(
  crypto: CryptoPlatform,
  header: LuksHeader,
  slot: KeySlot,
  passphrase: Uint8Array,
  material: Uint8Array,
): Promise<Uint8Array | undefined> {
  const { spec, hash } = header;
  const length = keyLength(spec);
  const slotKey = await crypto.pbkdf2(hash, passphrase, slot.salt, slot.iterations, length);
  sectorCipher(crypto, spec, slotKey).decrypt(material, 0);
  const key = afMerge(crypto, hash, material, length, slot.stripes);
  slotKey.fill(0);
  material.fill(0);
  const { digestSalt, digestIterations } = header;
  const digest = await crypto.pbkdf2(hash, key, digestSalt, digestIterations, DIGEST_LENGTH);
  if (crypto.equal(digest, header.digest)) {
    return key;
  }
  key.fill(0);
  return undefined;
}

/**
 * Puts the master key into a slot under a passphrase (LUKS1 on-disk format, figure 5).
 *
 * @param time - ms that trying a passphrase should take
 */
export async function sealSlot(
  crypto: CryptoPlatform,
  header: Pick<LuksHeader, 'spec' | 'hash'>,
  place: Pick<KeySlot, 'keyArea' | 'stripes'>,
  secrets: { readonly passphrase: Uint8Array; readonly key: Uint8Array },
  time: number,
): Promise<SealedSlot> {
  const { spec, hash } = header;
  const length = keyLength(spec);
  const iterations = await iterationsFor(crypto, hash, length, time);
  const salt = crypto.randomBytes(SALT_LENGTH);
  const slotKey = await crypto.pbkdf2(hash, secrets.passphrase, salt, iterations, length);
  const split = afSplit(crypto, hash, secrets.key, place.stripes);
  const material = new Uint8Array(keyMaterialLength(length, place.stripes));
  material.set(split);
  split.fill(0);
  sectorCipher(crypto, spec, slotKey).encrypt(material, 0);
  slotKey.fill(0);
  return { slot: { ...place, active: true, iterations, salt }, material };
}

/** What a header needs to recognise a master key. */
export async function digestKey(
  crypto: CryptoPlatform,
  hash: HashName,
  key: Uint8Array,
  time: number,
): Promise<Pick<LuksHeader, 'digest' | 'digestSalt' | 'digestIterations'>> {
  const whole = await iterationsFor(crypto, hash, DIGEST_LENGTH, time);
  const digestIterations = Math.max(MIN_DIGEST_ITERATIONS, Math.floor(whole / DIGEST_SHARE));
  const digestSalt = crypto.randomBytes(SALT_LENGTH);
  const digest = await crypto.pbkdf2(hash, key, digestSalt, digestIterations, DIGEST_LENGTH);
  return { digest, digestSalt, digestIterations };
}
