import { LamellaError, type Preallocation } from '@lamella/core';

/**
 * The kinds of preallocation that a raw image has; there is no metadata to preallocate.
 *
 * @throws LamellaError `INVALID_ARGUMENT`
 */
export function checkPreallocation(value: Preallocation, location?: string): void {
  if (value === 'metadata') {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      "a raw image has no metadata, so there is no preallocation 'metadata'",
      { location, hint: "Use 'off', 'falloc' or 'full'." },
    );
  }
}
