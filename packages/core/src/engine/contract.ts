import { LamellaError } from '../errors/index.js';
import type { Storage } from '../storage/index.js';

/**
 * Checks that a driver's answer covers at least one byte and no more than was asked: anything else would
 * keep the engine asking for ever, or reading past a buffer.
 *
 * @param asked - bytes
 * @throws LamellaError `DRIVER_FAILED`
 */
export function checkedLength(length: number, asked: number, { location }: Storage): number {
  if (length >= 1 && length <= asked) {
    return length;
  }
  throw new LamellaError(
    'DRIVER_FAILED',
    `the driver answered for ${length} bytes when it was asked for ${asked}`,
    { location, hint: 'This is a bug of the driver; report it to its author.' },
  );
}
