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
  if (Number.isInteger(length) && length >= 1 && length <= asked) {
    return length;
  }
  throw driverFault(
    `the driver answered for ${length} bytes when it was asked for ${asked}`,
    location,
  );
}

/** The error for an answer of a kind that there is not; the compiler knows that there is none. */
export function unknownKind(extent: never, { location }: Storage): LamellaError {
  return driverFault(`the driver answered with ${JSON.stringify(extent)}`, location);
}

function driverFault(problem: string, location: string): LamellaError {
  return new LamellaError('DRIVER_FAILED', problem, {
    location,
    hint: 'This is a bug of the driver; report it to its author.',
  });
}
