import { LamellaError } from '@lamella/core';
import { MAX_BACKING_NAME } from './header-fields.js';

/**
 * The bytes of a backing filename; none for no name.
 *
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`
 */
export function encodeName(name: string | undefined): Uint8Array {
  if (name === undefined) {
    return new Uint8Array(0);
  }
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.includes(0)) {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      'a backing filename cannot be empty or contain a NUL byte',
      { hint: 'Give the name of the backing file, or none.' },
    );
  }
  if (bytes.length > MAX_BACKING_NAME) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `the backing filename has ${bytes.length} bytes; QED allows ${MAX_BACKING_NAME}`,
      { hint: 'Use a shorter path, relative to the image.' },
    );
  }
  return bytes;
}
