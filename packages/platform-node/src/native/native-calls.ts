import type { InjectionToken } from 'tsyringe';
import { bindCompression } from './compression.js';
import { requireKoffi } from './koffi.js';
import { bindLinux } from './linux.js';

/**
 * Calls of the system, and of libraries that it has, which Node.js does not offer. Each may be absent: whoever uses one has a slower way
 * without it.
 *
 * Numbers below zero are errors: the negated `errno`.
 */
export interface NativeCalls {
  /**
   * Reads without waiting for the device: `preadv2` with `RWF_NOWAIT`.
   *
   * @param offset - byte offset in the file
   * @returns bytes read, possibly fewer than the buffer holds, or a negated errno
   */
  readonly readNow?: (fd: number, buffer: Uint8Array, offset: number) => number;

  /**
   * `fallocate` on a thread of libuv's pool.
   *
   * @param mode - `FALLOC_FL_*` bits
   * @returns 0 or a negated errno
   */
  readonly fallocate?: (
    fd: number,
    mode: number,
    offset: number,
    length: number,
  ) => Promise<number>;

  /**
   * `copy_file_range` on a thread of libuv's pool.
   *
   * @returns bytes copied, 0 at the end of the source, or a negated errno
   */
  readonly copyFileRange?: (
    from: number,
    fromOffset: number,
    to: number,
    toOffset: number,
    length: number,
  ) => Promise<number>;

  /**
   * Whether {@link NativeCalls.copyFileRange} can be expected to have two open files share blocks, instead of
   * copying bytes one page after the other.
   */
  readonly sharesBlocks?: (from: number, to: number) => boolean;

  /**
   * Locks on ranges of bytes that belong to an open file (`F_OFD_SETLK`), whether or not the file has
   * such bytes. No call waits.
   */
  readonly locks?: {
    /** Takes a lock that others can take too. 0, or a negated errno. */
    share(fd: number, offset: number, length: number): number;
    /** Gives locks back. 0, or a negated errno. */
    release(fd: number, offset: number, length: number): number;
    /** Whether another open file has a lock there: 1 or 0, or a negated errno. */
    test(fd: number, offset: number, length: number): number;
  };

  /**
   * `lseek`. Moves the file position, which nothing here relies on.
   *
   * @param whence - `SEEK_*`
   * @returns the resulting byte offset, or a negated errno
   */
  readonly seek?: (fd: number, offset: number, whence: number) => number;

  /**
   * Decompresses raw deflate (RFC 1951) on a thread of libuv's pool. What follows the stream is ignored.
   *
   * @param output - to be filled
   * @returns whether the stream is whole and gives exactly that many bytes
   */
  readonly inflate?: ((input: Uint8Array, output: Uint8Array) => Promise<boolean>) | undefined;

  /** Zstandard (RFC 8878) on threads of libuv's pool. */
  readonly zstd?: NativeZstd | undefined;
}

/** libzstd. */
export interface NativeZstd {
  /**
   * Decompresses one frame.
   *
   * @param frame - whole, with nothing behind it
   * @returns bytes of the output that were filled, or a number below zero for a frame that is damaged or
   * gives more
   * @throws Error when the call itself fails
   */
  decompress(frame: Uint8Array, output: Uint8Array): Promise<number>;
  /**
   * Compresses into one frame at the default level; undefined for more than `maxLength` bytes.
   *
   * @throws Error when the call itself fails
   */
  compress(input: Uint8Array, maxLength: number): Promise<Uint8Array | undefined>;
}

/** Token of the {@link NativeCalls}; register `{}` to do without. */
export const NATIVE_CALLS: InjectionToken<NativeCalls> = Symbol.for('lamella.NativeCalls');

const NONE: NativeCalls = Object.freeze({});

let bound: NativeCalls | undefined;

/**
 * The native calls of this platform: all of them on 64-bit Linux with koffi installed, none
 * elsewhere. The environment variable `LAMELLA_NATIVE=off` gives none as well.
 */
export function nativeCalls(): NativeCalls {
  if (process.env.LAMELLA_NATIVE === 'off') {
    return NONE;
  }
  bound ??= bind();
  return bound;
}

function bind(): NativeCalls {
  // On 32-bit systems off_t and pointers are of other sizes than bindLinux says.
  if (process.platform !== 'linux' || !SIXTY_FOUR_BIT.has(process.arch)) {
    return NONE;
  }
  const koffi = requireKoffi();
  if (koffi === undefined) {
    return NONE;
  }
  // Libraries are not looked for before somebody wants one: most programs never do.
  let found: ReturnType<typeof bindCompression> | undefined;
  const compression = () => {
    found ??= bindCompression(koffi);
    return found;
  };
  return {
    ...bindLinux(koffi),
    get inflate() {
      return compression().inflate;
    },
    get zstd() {
      return compression().zstd;
    },
  };
}

const SIXTY_FOUR_BIT: ReadonlySet<string> = new Set([
  'arm64',
  'loong64',
  'ppc64',
  'riscv64',
  's390x',
  'x64',
]);
