import { LamellaError } from '@lamella/core';

/** The error of a change to an image that was opened read-only. */
export function readOnlyError(location: string): LamellaError {
  return new LamellaError('READ_ONLY', 'the image was opened read-only', {
    location,
    hint: 'Open it with { writable: true }, or put an overlay on it.',
  });
}

/** The error of a write to an image that was opened for a check that it has not passed. */
export function uncheckedError(location: string): LamellaError {
  return new LamellaError('CORRUPT', 'the image was not closed cleanly and not checked since', {
    location,
    hint: 'Check and repair it first.',
  });
}
