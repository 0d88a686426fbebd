import { LamellaError } from '@lamella/core';

/**
 * An error about metadata that contradicts itself or the specification.
 *
 * @param offset - byte offset of the metadata within the file
 */
export function corrupt(location: string, offset: number, problem: string): LamellaError {
  return new LamellaError('CORRUPT', problem, {
    location,
    offset,
    hint: 'Check the image (qemu-img check) or restore it from a backup.',
  });
}

/** An error about a feature that this driver does not have. */
export function unsupported(location: string, feature: string, hint: string): LamellaError {
  return new LamellaError('UNSUPPORTED', feature, { location, hint });
}
