import { LamellaError } from '@lamella/core';

/**
 * The error for compressed data that can't be what was written.
 *
 * @param method - name of the compression
 * @param what - a clause that continues "a compressed cluster …"
 */
export function corruptStream(method: string, what: string, cause?: unknown): LamellaError {
  return new LamellaError('CORRUPT', `a compressed (${method}) cluster ${what}`, {
    hint: 'The image is damaged; check it, or restore it from a backup.',
    cause,
  });
}
