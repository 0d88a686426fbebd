import { alignUp, CIPHER_SECTOR, type HashName } from '@lamella/core';
import { type CipherSpec, keyLength } from '../cipher/cipher-spec.js';

/** `LUKS\xba\xbe`, the first six bytes. */
export const LUKS_MAGIC: readonly number[] = [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe];
/** Bytes of the header, key slots included. */
export const LUKS_HEADER_LENGTH = 592;
/** Key slots of a header. */
export const KEY_SLOTS = 8;
/** Bytes of a key slot's description. */
export const KEY_SLOT_LENGTH = 48;
/** Bytes of every salt. */
export const SALT_LENGTH = 32;
/** Bytes of the master key's digest. */
export const DIGEST_LENGTH = 20;
/** Anti-forensic stripes of new key slots; QEMU takes no other number. */
export const STRIPES = 4000;
/** Key areas start at multiples of this many bytes. */
const KEY_AREA_ALIGNMENT = 4096;

/** Byte positions of the header's fields (LUKS1 on-disk format, figure 1). */
export const LUKS_FIELD = {
  version: 6,
  cipherName: 8,
  cipherMode: 40,
  hash: 72,
  payloadOffset: 104,
  keyBytes: 108,
  digest: 112,
  digestSalt: 132,
  digestIterations: 164,
  uuid: 168,
  keySlots: 208,
} as const;

/** Byte positions within a key slot (LUKS1 on-disk format, figure 2). */
export const SLOT_FIELD = {
  active: 0,
  iterations: 4,
  salt: 8,
  keyArea: 40,
  stripes: 44,
} as const;

/** Values of a key slot's `active` field. */
export const SLOT_STATE = { active: 0x00ac_71f3, inactive: 0x0000_dead } as const;

/** One of the eight places for an enciphered copy of the master key. */
export interface KeySlot {
  readonly active: boolean;
  readonly iterations: number;
  /** {@link SALT_LENGTH} bytes. */
  readonly salt: Uint8Array;
  /** Where the key material is: bytes from the start of the LUKS header. */
  readonly keyArea: number;
  /** Pieces that the key is split into. */
  readonly stripes: number;
}

/** A LUKS1 header. */
export interface LuksHeader {
  readonly spec: CipherSpec;
  readonly hash: HashName;
  /** Bytes from the start of the LUKS header; of no use inside qcow2, but kept. */
  readonly payloadOffset: number;
  /** {@link DIGEST_LENGTH} bytes. */
  readonly digest: Uint8Array;
  /** {@link SALT_LENGTH} bytes. */
  readonly digestSalt: Uint8Array;
  readonly digestIterations: number;
  readonly uuid: string;
  /** {@link KEY_SLOTS} of them. */
  readonly slots: readonly KeySlot[];
}

/** Bytes that a slot's split key takes, in whole sectors because it is ciphered by sectors. */
export function keyMaterialLength(keyBytes: number, stripes: number): number {
  return alignUp(keyBytes * stripes, CIPHER_SECTOR);
}

/** Where the key areas of a new header are, and where they end; in bytes from its start. */
export function planKeyAreas(spec: CipherSpec): {
  readonly areas: readonly number[];
  readonly end: number;
} {
  const length = alignUp(keyLength(spec) * STRIPES, KEY_AREA_ALIGNMENT);
  const areas = Array.from({ length: KEY_SLOTS }, (_, i) => KEY_AREA_ALIGNMENT + i * length);
  return { areas, end: KEY_AREA_ALIGNMENT + KEY_SLOTS * length };
}
