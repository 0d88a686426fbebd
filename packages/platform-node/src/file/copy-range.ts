import { ERRNO } from '../native/constants.js';
import type { NativeCalls } from '../native/native-calls.js';
import { NativeCallError } from './errno.js';

/** Bytes of one call: it holds a thread of the pool until it is done. */
const STEP = 64 * 1024 * 1024;

/** Errors that mean: these two files can't be copied that way. */
const NOT_HERE: ReadonlySet<number> = new Set([
  ERRNO.EXDEV,
  ERRNO.EINVAL,
  ERRNO.ENOSYS,
  ERRNO.EOPNOTSUPP,
]);

/**
 * Copies between two open files as far as the kernel does it.
 *
 * @returns bytes copied
 * @throws NativeCallError for a failure of the device
 */
export async function copyRange(
  copy: NonNullable<NativeCalls['copyFileRange']>,
  from: number,
  fromOffset: number,
  to: number,
  toOffset: number,
  length: number,
): Promise<number> {
  let done = 0;
  while (done < length) {
    const step = Math.min(STEP, length - done);
    const count = await copy(from, fromOffset + done, to, toOffset + done, step);
    if (count === 0 || NOT_HERE.has(-count)) {
      return done;
    }
    if (count > 0) {
      done += count;
    } else if (count !== -ERRNO.EINTR) {
      throw new NativeCallError('copy_file_range', -count);
    }
  }
  return done;
}
