import { readFile } from 'node:fs/promises';
import { LamellaError } from '@lamella/core';
import { SEEK_END } from '../native/constants.js';
import type { NativeCalls } from '../native/native-calls.js';

/** The kernel counts devices in units of 512 bytes, whatever the device's own sectors are. */
const SECTOR_SIZE = 512;

/**
 * Bytes of an open block device, whose `stat` says 0.
 *
 * @param device - number of the device (`st_rdev`)
 * @throws LamellaError `UNSUPPORTED` where the platform gives no way to tell
 */
export async function deviceSize(
  fd: number,
  device: bigint,
  location: string,
  native: NativeCalls,
): Promise<number> {
  const end = native.seek?.(fd, 0, SEEK_END) ?? -1;
  if (end >= 0) {
    return end;
  }
  try {
    const text = await readFile(`/sys/dev/block/${deviceNumbers(device)}/size`, 'latin1');
    const sectors = Number(text.trim());
    if (Number.isSafeInteger(sectors * SECTOR_SIZE)) {
      return sectors * SECTOR_SIZE;
    }
  } catch {
    // No /sys here.
  }
  throw new LamellaError('UNSUPPORTED', 'the size of the block device cannot be found out', {
    location,
    hint: 'Install the optional dependency koffi, or copy the device into a file.',
  });
}

/** `major:minor` out of the number as Linux packs it. */
export function deviceNumbers(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffff_ff00n);
  return `${major}:${minor}`;
}
