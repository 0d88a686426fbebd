import { LamellaError } from './lamella-error.js';

/**
 * Ends a long operation between two of its steps.
 *
 * @param signal - may be undefined
 * @param location - image that is being worked on
 * @throws LamellaError `ABORTED`, with the signal's reason as its cause
 */
export function throwIfAborted(signal: AbortSignal | undefined, location: string): void {
  if (signal?.aborted === true) {
    throw new LamellaError('ABORTED', 'the operation was aborted', {
      location,
      cause: signal.reason,
    });
  }
}
