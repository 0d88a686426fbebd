import { CIPHER_SECTOR, HASH_NAMES } from '@lamella/core';
import { keyLength, parseModeText } from '../cipher/cipher-spec.js';
import { HeaderFields } from './header-fields.js';
import {
  DIGEST_LENGTH,
  KEY_SLOT_LENGTH,
  KEY_SLOTS,
  type KeySlot,
  keyMaterialLength,
  LUKS_FIELD,
  LUKS_HEADER_LENGTH,
  LUKS_MAGIC,
  type LuksHeader,
  SALT_LENGTH,
  SLOT_FIELD,
  SLOT_STATE,
} from './layout.js';

/** Most stripes of a key slot: bounds the memory for its key material to 4 MiB. */
const MAX_STRIPES = 65536;
/** Longest key: two AES-256 keys. */
const MAX_KEY_BYTES = 64;

/** What surrounds a header, and what may be asked of this machine. */
export interface HeaderBounds {
  /** The image, for messages. */
  readonly location: string;
  /** Byte offset of the header within the file, for messages. */
  readonly offset: number;
  /** Bytes of header and key areas together, as the qcow2 header says. */
  readonly length: number;
  /** Most iterations of key derivation, so that a hostile header can't keep the machine busy. */
  readonly maxIterations: number;
}

/**
 * Reads a LUKS1 header and checks every field of it.
 *
 * @param bytes - the first {@link LUKS_HEADER_LENGTH} bytes
 * @throws LamellaError `INVALID_HEADER`, `UNSUPPORTED`, `LIMIT_EXCEEDED`
 */
export function parseLuksHeader(bytes: Uint8Array, bounds: HeaderBounds): LuksHeader {
  const fields = new HeaderFields(bytes, bounds.location, bounds.offset);
  checkStart(fields);
  const spec = parseCipher(fields);
  const hashName = fields.text(LUKS_FIELD.hash, 32, 'hash-spec');
  const hash = HASH_NAMES.find((name) => name === hashName);
  if (hash === undefined) {
    throw fields.error(
      'UNSUPPORTED',
      LUKS_FIELD.hash,
      `the LUKS header uses the hash '${hashName}'`,
      `Supported are ${HASH_NAMES.join(', ')}.`,
    );
  }
  const header: LuksHeader = {
    spec,
    hash,
    payloadOffset: parsePayloadOffset(fields),
    digest: fields.bytes(LUKS_FIELD.digest, DIGEST_LENGTH),
    digestSalt: fields.bytes(LUKS_FIELD.digestSalt, SALT_LENGTH),
    digestIterations: parseIterations(fields, LUKS_FIELD.digestIterations, bounds.maxIterations),
    uuid: fields.text(LUKS_FIELD.uuid, 40, 'uuid'),
    slots: Array.from({ length: KEY_SLOTS }, (_, index) =>
      parseSlot(fields, index, keyLength(spec), bounds),
    ),
  };
  checkAreas(fields, header);
  return header;
}

function checkStart(fields: HeaderFields): void {
  const magic = fields.bytes(0, LUKS_MAGIC.length);
  if (LUKS_MAGIC.some((byte, index) => magic[index] !== byte)) {
    throw fields.error(
      'INVALID_HEADER',
      0,
      'there is no LUKS header where the image says',
      'The image is damaged; restore the header from a backup.',
    );
  }
  const version = fields.uint16(LUKS_FIELD.version);
  if (version !== 1) {
    throw fields.error(
      'UNSUPPORTED',
      LUKS_FIELD.version,
      `the LUKS header has version ${version}`,
      'Version 1 is supported.',
    );
  }
}

function parseCipher(fields: HeaderFields): LuksHeader['spec'] {
  const name = fields.text(LUKS_FIELD.cipherName, 32, 'cipher-name');
  if (name !== 'aes') {
    throw fields.error(
      'UNSUPPORTED',
      LUKS_FIELD.cipherName,
      `the image is encrypted with the cipher '${name}'`,
      'aes is supported; convert the image with qemu-img convert.',
    );
  }
  const mode = fields.text(LUKS_FIELD.cipherMode, 32, 'cipher-mode');
  const keyBytes = fields.uint32(LUKS_FIELD.keyBytes);
  const spec = keyBytes > MAX_KEY_BYTES ? undefined : parseModeText(mode, keyBytes);
  if (spec === undefined) {
    throw fields.error(
      'UNSUPPORTED',
      LUKS_FIELD.cipherMode,
      `the image is encrypted with aes in the mode '${mode}' and a key of ${keyBytes} bytes`,
      'Supported are xts, cbc, ecb and ctr with plain64, plain, essiv:sha256 or essiv:md5, and keys for AES-128, 192 and 256.',
    );
  }
  return spec;
}

function parsePayloadOffset(fields: HeaderFields): number {
  const sectors = fields.uint32(LUKS_FIELD.payloadOffset);
  if (sectors * CIPHER_SECTOR < LUKS_HEADER_LENGTH) {
    throw fields.error(
      'INVALID_HEADER',
      LUKS_FIELD.payloadOffset,
      `the LUKS payload starts at sector ${sectors}, within the header`,
      'The header is damaged; restore it from a backup.',
    );
  }
  return sectors * CIPHER_SECTOR;
}

function parseIterations(fields: HeaderFields, at: number, most: number): number {
  const iterations = fields.uint32(at);
  if (iterations === 0) {
    throw fields.error(
      'INVALID_HEADER',
      at,
      'a key of the LUKS header is derived in 0 iterations',
      'The header is damaged; restore it from a backup.',
    );
  }
  if (iterations > most) {
    throw fields.error(
      'LIMIT_EXCEEDED',
      at,
      `deriving a key of the LUKS header takes ${iterations} iterations`,
      `At most ${most} are done unless the open option 'encrypt.max-iterations' says more.`,
    );
  }
  return iterations;
}

function parseSlot(
  fields: HeaderFields,
  index: number,
  keyBytes: number,
  bounds: HeaderBounds,
): KeySlot {
  const at = LUKS_FIELD.keySlots + index * KEY_SLOT_LENGTH;
  const state = fields.uint32(at + SLOT_FIELD.active);
  if (state !== SLOT_STATE.active && state !== SLOT_STATE.inactive) {
    throw fields.error(
      'INVALID_HEADER',
      at,
      `key slot ${index} is neither active nor inactive`,
      'The header is damaged; restore it from a backup.',
    );
  }
  const active = state === SLOT_STATE.active;
  const stripes = fields.uint32(at + SLOT_FIELD.stripes);
  if (stripes === 0 || stripes > MAX_STRIPES) {
    throw fields.error(
      stripes === 0 ? 'INVALID_HEADER' : 'LIMIT_EXCEEDED',
      at + SLOT_FIELD.stripes,
      `key slot ${index} has ${stripes} stripes`,
      `There must be from 1 to ${MAX_STRIPES}.`,
    );
  }
  const keyArea = fields.uint32(at + SLOT_FIELD.keyArea) * CIPHER_SECTOR;
  const end = keyArea + keyMaterialLength(keyBytes, stripes);
  if (keyArea < LUKS_HEADER_LENGTH || end > bounds.length) {
    throw fields.error(
      'INVALID_HEADER',
      at + SLOT_FIELD.keyArea,
      `the key material of slot ${index} is at bytes ${keyArea} to ${end} of the LUKS header`,
      `It must be behind byte ${LUKS_HEADER_LENGTH} and within ${bounds.length} bytes.`,
    );
  }
  return {
    active,
    iterations: active
      ? parseIterations(fields, at + SLOT_FIELD.iterations, bounds.maxIterations)
      : 0,
    salt: fields.bytes(at + SLOT_FIELD.salt, SALT_LENGTH),
    keyArea,
    stripes,
  };
}

function checkAreas(fields: HeaderFields, { spec, slots }: LuksHeader): void {
  const areas = slots
    .map(({ keyArea, stripes }, index) => ({
      index,
      start: keyArea,
      end: keyArea + keyMaterialLength(keyLength(spec), stripes),
    }))
    .sort((a, b) => a.start - b.start);
  for (const [position, { index, end }] of areas.entries()) {
    const next = areas[position + 1];
    if (next !== undefined && next.start < end) {
      throw fields.error(
        'INVALID_HEADER',
        LUKS_FIELD.keySlots + next.index * KEY_SLOT_LENGTH + SLOT_FIELD.keyArea,
        `the key material of slots ${index} and ${next.index} overlaps`,
        'The header is damaged; restore it from a backup.',
      );
    }
  }
}
