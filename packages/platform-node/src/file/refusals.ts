import { LamellaError } from '@lamella/core';

/**
 * What a file's callers may ask for at all.
 *
 * @throws LamellaError `INVALID_ARGUMENT` for anything but whole numbers from 0 to 2^53 - 1
 */
export function assertRange(location: string, offset: number, length: number): void {
  // A negative offset would make preadv2 use the file position instead.
  if (!(offset >= 0 && length >= 0 && Number.isSafeInteger(offset + length))) {
    throw new LamellaError('INVALID_ARGUMENT', `not a range of bytes: ${offset}, ${length}`, {
      location,
      hint: 'Give whole numbers from 0 to 2^53 - 1.',
    });
  }
}

/** The file was closed here. */
export function closedError(location: string): LamellaError {
  return new LamellaError('CLOSED', 'the file is closed', { location, hint: 'Open it again.' });
}

/** The file was opened for reading only. */
export function readOnlyError(location: string): LamellaError {
  return new LamellaError('READ_ONLY', 'the file was opened read-only', {
    location,
    hint: 'Open it with writable: true.',
  });
}

/** A device ends before what is asked for. */
export function deviceEndError(location: string, size: number, end: number): LamellaError {
  return new LamellaError('NO_SPACE', `a block device of ${size} bytes ends before ${end}`, {
    location,
    hint: 'Use a larger device, or a file.',
  });
}

/** A device has the length that it has. */
export function fixedLengthError(location: string): LamellaError {
  return new LamellaError('UNSUPPORTED', 'a block device cannot be made shorter', {
    location,
    hint: 'Use a file.',
  });
}
