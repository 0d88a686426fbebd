import { LamellaError, type ResizeOptions } from '@lamella/core';
import type { Geometry } from './geometry.js';

/**
 * Whether an image may get a new size.
 *
 * @param location - of the image, for messages
 * @param oldSize - bytes
 * @param size - bytes, a multiple of 512
 * @throws LamellaError `UNSUPPORTED`, `LIMIT_EXCEEDED`, `INVALID_ARGUMENT`
 */
export function checkGrowth(
  location: string,
  geometry: Geometry,
  oldSize: number,
  size: number,
  { preallocation }: ResizeOptions,
): void {
  if (preallocation !== undefined && preallocation !== 'off') {
    throw new LamellaError(
      'INVALID_ARGUMENT',
      `a QED image can't grow with preallocation '${preallocation}'`,
      { location, hint: 'Leave the preallocation away.' },
    );
  }
  if (size < oldSize) {
    throw new LamellaError('UNSUPPORTED', 'a QED image cannot be made smaller', {
      location,
      hint: 'Convert it to a new image of the size you want.',
    });
  }
  if (size > geometry.maxImageSize || !Number.isSafeInteger(size)) {
    throw new LamellaError('LIMIT_EXCEEDED', `the tables cannot describe ${size} bytes`, {
      location,
      hint: 'Convert the image to a new one with larger clusters or tables.',
    });
  }
}
