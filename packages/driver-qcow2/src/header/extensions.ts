import { alignUp, LamellaError, viewOf } from '@lamella/core';

/** Type numbers of the header extensions (specification: "Header extensions"). */
export const EXTENSION = {
  end: 0x0000_0000,
  backingFormat: 0xe279_2aca,
  featureNames: 0x6803_f857,
  bitmaps: 0x2385_2875,
  encryption: 0x0537_be77,
  externalDataFile: 0x4441_5441,
} as const;

/** A header extension, byte for byte, so that unknown ones survive a rewritten header. */
export interface HeaderExtension {
  readonly type: number;
  /** Content without padding. */
  readonly data: Uint8Array;
}

/** Most extensions taken: the specification names six. */
const MAX_EXTENSIONS = 256;

/** Bytes in front of an extension's data: type and length. */
const PREFIX = 8;

/**
 * Reads the extensions between the header and the backing file name.
 *
 * @param head - first cluster of the image, or at least its first `end` bytes
 * @param start - header length in bytes
 * @param end - where the area must end at the latest, in bytes
 * @throws LamellaError `INVALID_HEADER` when an extension reaches past `end` or comes twice,
 * `LIMIT_EXCEEDED` when there are more than 256
 */
export function parseExtensions(
  head: Uint8Array,
  start: number,
  end: number,
  location: string,
): HeaderExtension[] {
  const view = viewOf(head);
  const extensions: HeaderExtension[] = [];
  const seen = new Set<number>();
  let at = start;
  while (at + PREFIX <= end) {
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === EXTENSION.end) {
      break;
    }
    if (extensions.length === MAX_EXTENSIONS) {
      throw new LamellaError('LIMIT_EXCEEDED', `there are more than ${MAX_EXTENSIONS} extensions`, {
        location,
        offset: at,
        hint: 'The header is damaged; restore the image from a backup.',
      });
    }
    if (length > end - at - PREFIX) {
      throw new LamellaError(
        'INVALID_HEADER',
        `header extension 0x${type.toString(16)} of ${length} bytes reaches past the header area`,
        { location, offset: at + 4, hint: `The area ends at byte ${end}.` },
      );
    }
    if (seen.has(type)) {
      throw new LamellaError(
        'INVALID_HEADER',
        `header extension 0x${type.toString(16)} is there twice`,
        { location, offset: at, hint: 'Each type may appear once.' },
      );
    }
    seen.add(type);
    extensions.push({ type, data: head.slice(at + PREFIX, at + PREFIX + length) });
    at += PREFIX + alignUp(length, 8);
  }
  return extensions;
}

/** The extension of a type, if it is there. */
export function findExtension(
  extensions: readonly HeaderExtension[],
  type: number,
): HeaderExtension | undefined {
  return extensions.find((extension) => extension.type === type);
}

/** Bytes that extensions take when stored, end marker included. */
export function extensionsLength(extensions: readonly HeaderExtension[]): number {
  return extensions.reduce((sum, { data }) => sum + PREFIX + alignUp(data.length, 8), PREFIX);
}

/** Stores extensions and the end marker. */
export function serialiseExtensions(extensions: readonly HeaderExtension[]): Uint8Array {
  const bytes = new Uint8Array(extensionsLength(extensions));
  const view = viewOf(bytes);
  let at = 0;
  for (const { type, data } of extensions) {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.length);
    bytes.set(data, at + PREFIX);
    at += PREFIX + alignUp(data.length, 8);
  }
  return bytes;
}
