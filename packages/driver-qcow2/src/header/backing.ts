import { LamellaError, type Reference } from '@lamella/core';
import { EXTENSION } from './extensions.js';
import { type Header, MAX_BACKING_NAME } from './header.js';

/**
 * A header that names another backing file, or none.
 *
 * @throws LamellaError `LIMIT_EXCEEDED` for a name that is empty or too long
 */
export function withBacking(header: Header, backing: Reference | undefined): Header {
  const encoder = new TextEncoder();
  const others = header.extensions.filter(({ type }) => type !== EXTENSION.backingFormat);
  if (backing === undefined) {
    return { ...header, backing, extensions: others };
  }
  const length = encoder.encode(backing.location).length;
  if (length === 0 || length > MAX_BACKING_NAME) {
    throw new LamellaError('LIMIT_EXCEEDED', `the backing file name has ${length} bytes`, {
      hint: `It must have from 1 to ${MAX_BACKING_NAME}.`,
    });
  }
  const format =
    backing.format === undefined
      ? []
      : [{ type: EXTENSION.backingFormat, data: encoder.encode(backing.format) }];
  return { ...header, backing, extensions: [...format, ...others] };
}
