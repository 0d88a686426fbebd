import { CIPHER_SECTOR, viewOf } from '@lamella/core';
import { keyLength, modeText } from '../cipher/cipher-spec.js';
import {
  KEY_SLOT_LENGTH,
  type KeySlot,
  LUKS_FIELD,
  LUKS_HEADER_LENGTH,
  LUKS_MAGIC,
  type LuksHeader,
  SLOT_FIELD,
  SLOT_STATE,
} from './layout.js';

/** Stores a header; see `parseLuksHeader`. */
export function serialiseLuksHeader(header: LuksHeader): Uint8Array {
  const bytes = new Uint8Array(LUKS_HEADER_LENGTH);
  const view = viewOf(bytes);
  const encoder = new TextEncoder();
  bytes.set(LUKS_MAGIC);
  view.setUint16(LUKS_FIELD.version, 1);
  bytes.set(encoder.encode('aes'), LUKS_FIELD.cipherName);
  bytes.set(encoder.encode(modeText(header.spec)), LUKS_FIELD.cipherMode);
  bytes.set(encoder.encode(header.hash), LUKS_FIELD.hash);
  view.setUint32(LUKS_FIELD.payloadOffset, header.payloadOffset / CIPHER_SECTOR);
  view.setUint32(LUKS_FIELD.keyBytes, keyLength(header.spec));
  bytes.set(header.digest, LUKS_FIELD.digest);
  bytes.set(header.digestSalt, LUKS_FIELD.digestSalt);
  view.setUint32(LUKS_FIELD.digestIterations, header.digestIterations);
  bytes.set(encoder.encode(header.uuid), LUKS_FIELD.uuid);
  for (const [index, slot] of header.slots.entries()) {
    bytes.set(serialiseSlot(slot), LUKS_FIELD.keySlots + index * KEY_SLOT_LENGTH);
  }
  return bytes;
}

function serialiseSlot(slot: KeySlot): Uint8Array {
  const bytes = new Uint8Array(KEY_SLOT_LENGTH);
  const view = viewOf(bytes);
  view.setUint32(SLOT_FIELD.active, slot.active ? SLOT_STATE.active : SLOT_STATE.inactive);
  view.setUint32(SLOT_FIELD.iterations, slot.iterations);
  bytes.set(slot.salt, SLOT_FIELD.salt);
  view.setUint32(SLOT_FIELD.keyArea, slot.keyArea / CIPHER_SECTOR);
  view.setUint32(SLOT_FIELD.stripes, slot.stripes);
  return bytes;
}
