import type { StoragePermission, StoragePermissions } from '@lamella/core';
import { LamellaError } from '@lamella/core';
import { ERRNO } from '../native/constants.js';
import type { NativeCalls } from '../native/native-calls.js';
import { NativeCallError } from './errno.js';

/** First of the bytes that say what is done; where each is, is agreed upon with QEMU. */
const USED = 100;
/** First of the bytes that say what others may not do. */
const UNSHARED = 200;
/** The place of a permission among those bytes. */
const BITS: readonly StoragePermission[] = [
  'consistent-read',
  'write',
  'write-unchanged',
  'resize',
];

/** Errors that mean: locks of this kind do not exist here. */
const NO_LOCKS: ReadonlySet<number> = new Set([
  ERRNO.EINVAL,
  ERRNO.ENOLCK,
  ERRNO.ENOSYS,
  ERRNO.EOPNOTSUPP,
]);

/** The byte ranges of an open file that tell other openers what is done with it. */
export type FileLocks = NonNullable<NativeCalls['locks']>;

/**
 * Announces permissions by shared locks on single bytes of the file, as QEMU does. Everybody first takes
 * his own locks and then looks for somebody else's on the opposite bytes: of two at the same moment both
 * may fail, but never both succeed.
 *
 * The locks belong to the open file, not to the process: two opens in one process exclude each other,
 * and the locks go when the file is closed or the process ends, however it ends.
 */
export class ImageLocks {
  readonly #fd: number;
  readonly #location: string;
  readonly #locks: FileLocks;
  /** Bytes that are locked by this open file. */
  #held: ReadonlySet<number> = new Set();
  #permissions: StoragePermissions | undefined;

  constructor(fd: number, location: string, locks: FileLocks) {
    this.#fd = fd;
    this.#location = location;
    this.#locks = locks;
  }

  /** What is announced at present. */
  get permissions(): StoragePermissions | undefined {
    return this.#permissions;
  }

  /**
   * Announces these permissions instead of those before.
   *
   * @returns false where the file system has no such locks
   * @throws LamellaError `LOCKED`; then all is as before
   * @throws NativeCallError for a failed system call
   */
  change(permissions: StoragePermissions): boolean {
    const before = this.#held;
    const wanted = bytesOf(permissions);
    const taken: number[] = [];
    try {
      for (const byte of wanted) {
        if (!before.has(byte)) {
          if (!this.#take(byte)) {
            return false;
          }
          taken.push(byte);
        }
      }
      this.#assertFree(permissions);
    } catch (error) {
      this.#release(taken);
      throw error;
    }
    this.#held = wanted;
    this.#permissions = permissions;
    this.#release([...before].filter((byte) => !wanted.has(byte)));
    return true;
  }

  #take(byte: number): boolean {
    const errno = -this.#locks.share(this.#fd, byte, 1);
    if (errno === 0) {
      return true;
    }
    if (NO_LOCKS.has(errno)) {
      return false;
    }
    if (errno === ERRNO.EAGAIN || errno === ERRNO.EACCES) {
      throw this.#locked('another program has locked the file as a whole');
    }
    throw new NativeCallError('fcntl', errno);
  }

  #assertFree({ uses, shares }: StoragePermissions): void {
    for (const [bit, permission] of BITS.entries()) {
      if (uses.includes(permission) && this.#isTaken(UNSHARED + bit)) {
        throw this.#locked(
          `another process is using it and does not allow ${DOING[permission]} (no '${permission}' lock)`,
        );
      }
    }
    // Where both are in the way, qemu-img names what it wants to do before what it wants others not to do.
    for (const [bit, permission] of BITS.entries()) {
      if (!shares.includes(permission) && this.#isTaken(USED + bit)) {
        throw this.#locked(
          `another process is using it for ${DOING[permission]} (no shared '${permission}' lock)`,
        );
      }
    }
  }

  #isTaken(byte: number): boolean {
    const answer = this.#locks.test(this.#fd, byte, 1);
    if (answer < 0) {
      throw new NativeCallError('fcntl', -answer);
    }
    return answer === 1;
  }

  #release(bytes: readonly number[]): void {
    for (const byte of bytes) {
      // Giving a lock back can't be refused; were it, closing the file would do it.
      this.#locks.release(this.#fd, byte, 1);
    }
  }

  #locked(problem: string): LamellaError {
    return new LamellaError('LOCKED', `the file is locked: ${problem}`, {
      location: this.#location,
      hint:
        'End the other use, which may be a disk that this program has open itself; or open ' +
        'read-only with forceShare: true (--force-share), knowing that the content may be changing.',
    });
  }
}

const DOING: Readonly<Record<StoragePermission, string>> = {
  'consistent-read': 'reading',
  write: 'writing',
  'write-unchanged': 'writing what does not change the content',
  resize: 'resizing',
};

function bytesOf({ uses, shares }: StoragePermissions): ReadonlySet<number> {
  const bytes = new Set<number>();
  for (const [bit, permission] of BITS.entries()) {
    if (uses.includes(permission)) {
      bytes.add(USED + bit);
    }
    if (!shares.includes(permission)) {
      bytes.add(UNSHARED + bit);
    }
  }
  return bytes;
}
