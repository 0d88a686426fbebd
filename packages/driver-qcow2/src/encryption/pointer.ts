import { type ErrorCode, LamellaError, type Storage, viewOf, writeUint64 } from '@lamella/core';
import { EXTENSION, findExtension } from '../header/extensions.js';
import { FIELD, type Header } from '../header/header.js';
import { HeaderReader } from '../header/header-reader.js';
import { LUKS_HEADER_LENGTH } from './luks/layout.js';

/** Bytes of the extension's data. */
const POINTER_LENGTH = 16;
/** Largest LUKS header that is taken, in bytes; QEMU's have 2 MiB. */
const MAX_LENGTH = 64 * 1024 * 1024;

/** Where a LUKS header is, in bytes of the file (specification: "Full disk encryption header pointer"). */
export interface LuksPointer {
  readonly offset: number;
  /** Header and key areas together. */
  readonly length: number;
}

/** The header extension's data for a LUKS header. */
export function serialisePointer({ offset, length }: LuksPointer): Uint8Array {
  const data = new Uint8Array(POINTER_LENGTH);
  const view = viewOf(data);
  writeUint64(view, 0, offset, 'big');
  writeUint64(view, 8, length, 'big');
  return data;
}

/**
 * Reads the header extension.
 *
 * @throws LamellaError `INVALID_HEADER` when it is missing or too short, `LIMIT_EXCEEDED`
 */
export function readPointer(header: Header, location: string): LuksPointer {
  const data = findExtension(header.extensions, EXTENSION.encryption)?.data;
  if (data === undefined || data.length < POINTER_LENGTH) {
    throw new LamellaError(
      'INVALID_HEADER',
      data === undefined
        ? 'the image is encrypted by LUKS but says not where the LUKS header is'
        : `the pointer to the LUKS header has ${data.length} bytes`,
      {
        location,
        offset: FIELD.cryptMethod,
        hint: `The header extension must be there, with ${POINTER_LENGTH} bytes.`,
      },
    );
  }
  const reader = new HeaderReader(data, location);
  return {
    offset: reader.uint64(0, 'offset of the LUKS header'),
    length: reader.uint64(8, 'length of the LUKS header'),
  };
}

/**
 * Reads the header extension and checks that a LUKS header can be there.
 *
 * @throws LamellaError `INVALID_HEADER`, `LIMIT_EXCEEDED`, `TRUNCATED`
 */
export function checkedPointer(header: Header, { size, location }: Storage): LuksPointer {
  const { offset, length } = readPointer(header, location);
  const refuse = (code: ErrorCode, hint: string): never => {
    throw new LamellaError(
      code,
      `the LUKS header has ${length} bytes at byte ${offset} of the file`,
      { location, offset, hint },
    );
  };
  if (offset === 0 || offset % 2 ** header.clusterBits !== 0) {
    refuse('INVALID_HEADER', 'It must start at a multiple of the cluster size, behind the header.');
  }
  if (length < LUKS_HEADER_LENGTH) {
    refuse('INVALID_HEADER', `It must have at least ${LUKS_HEADER_LENGTH} bytes.`);
  }
  if (length > MAX_LENGTH) {
    refuse('LIMIT_EXCEEDED', `At most ${MAX_LENGTH} bytes are supported.`);
  }
  if (offset + LUKS_HEADER_LENGTH > size) {
    refuse('TRUNCATED', `The file has ${size} bytes and is incomplete.`);
  }
  return { offset, length };
}
