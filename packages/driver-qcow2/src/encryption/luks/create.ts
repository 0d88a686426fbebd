import type { CryptoPlatform, HashName, Storage } from '@lamella/core';
import { type CipherSpec, keyLength } from '../cipher/cipher-spec.js';
import { digestKey, sealSlot } from './key-slots.js';
import { type KeySlot, type LuksHeader, planKeyAreas, SALT_LENGTH, STRIPES } from './layout.js';
import { serialiseLuksHeader } from './serialise.js';

/** What encryption a new image gets. */
export interface LuksSettings {
  readonly spec: CipherSpec;
  readonly hash: HashName;
  /** Time in ms that trying a passphrase should take. */
  readonly iterTime: number;
}

/** Bytes of header and key areas of a new image. */
export function luksLength({ spec }: LuksSettings): number {
  return planKeyAreas(spec).end;
}

/**
 * Writes a header with a new master key, one slot of which opens by the passphrase.
 *
 * @param offset - where the header starts; everything up to {@link luksLength} reads as zeroes
 */
export async function writeNewLuks(
  crypto: CryptoPlatform,
  storage: Storage,
  offset: number,
  settings: LuksSettings,
  passphrase: Uint8Array,
): Promise<void> {
  const { spec, hash, iterTime } = settings;
  const { areas, end } = planKeyAreas(spec);
  const key = crypto.randomBytes(keyLength(spec));
  const empty = areas.map((keyArea): KeySlot => emptySlot({ keyArea, stripes: STRIPES }));
  const place = { keyArea: areas[0] ?? 0, stripes: STRIPES };
  const first = await sealSlot(crypto, settings, place, { passphrase, key }, iterTime);
  const header: LuksHeader = {
    spec,
    hash,
    payloadOffset: end,
    ...(await digestKey(crypto, hash, key, iterTime)),
    uuid: randomUuid(crypto),
    slots: [first.slot, ...empty.slice(1)],
  };
  key.fill(0);
  await storage.write(first.material, offset + place.keyArea);
  await storage.write(serialiseLuksHeader(header), offset);
}

/** A slot that opens by no passphrase. */
export function emptySlot(place: Pick<KeySlot, 'keyArea' | 'stripes'>): KeySlot {
  return { ...place, active: false, iterations: 0, salt: new Uint8Array(SALT_LENGTH) };
}

/** A random UUID (RFC 9562, version 4). */
function randomUuid(crypto: CryptoPlatform): string {
  const bytes = crypto.randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}
