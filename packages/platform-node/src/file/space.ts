import { MAX_ZEROES, zeroes } from '@lamella/core';
import {
  ERRNO,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
} from '../native/constants.js';
import type { NativeCalls } from '../native/native-calls.js';
import { NativeCallError } from './errno.js';
import { writeFully } from './pool-io.js';

const PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/**
 * Changes which parts of a file take space. What the file system can't do is asked once and then
 * no more.
 *
 * Every method touches its own range only, and none makes the file shorter; so they may run at the
 * same time as writes elsewhere in the file, growing ones included.
 */
export class Space {
  readonly #fd: number;
  readonly #fallocate: NativeCalls['fallocate'];
  readonly #unsupported = new Set<number>();

  constructor(fd: number, native: NativeCalls) {
    this.#fd = fd;
    this.#fallocate = native.fallocate;
  }

  /** Gives a range's space back, so that it reads as zeroes. False where that can't be done. */
  punch(offset: number, length: number): Promise<boolean> {
    return this.#allocate(PUNCH, offset, length);
  }

  /** Zeroes a range and reserves its space, growing the file. False where that can't be done. */
  zero(offset: number, length: number): Promise<boolean> {
    return this.#allocate(FALLOC_FL_ZERO_RANGE, offset, length);
  }

  /** Writes zeroes, in bounded pieces. */
  async fill(offset: number, end: number): Promise<void> {
    for (let position = offset; position < end; ) {
      const length = Math.min(MAX_ZEROES, end - position);
      await writeFully(this.#fd, zeroes(length), position);
      position += length;
    }
  }

  /**
   * Makes the file at least so long, by a zero in the last byte. `ftruncate` would do without the
   * block, but cut off what a write meanwhile put behind it.
   */
  grow(end: number): Promise<void> {
    return writeFully(this.#fd, zeroes(1), end - 1);
  }

  async #allocate(mode: number, offset: number, length: number): Promise<boolean> {
    if (this.#fallocate === undefined || this.#unsupported.has(mode)) {
      return false;
    }
    for (;;) {
      const errno = -(await this.#fallocate(this.#fd, mode, offset, length));
      switch (errno) {
        case 0:
          return true;
        case ERRNO.EINTR:
          break;
        case ERRNO.EOPNOTSUPP:
        case ERRNO.ENOSYS:
          this.#unsupported.add(mode);
          return false;
        case ERRNO.EINVAL:
          // A block device takes whole sectors only; the next range may be aligned.
          return false;
        default:
          throw new NativeCallError('fallocate', errno);
      }
    }
  }
}
