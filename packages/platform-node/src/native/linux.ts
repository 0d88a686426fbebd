import { bindCopyFileRange } from './copy-file-range.js';
import type { Koffi, KoffiFunction, NativeArgument } from './koffi.js';
import { Limiter } from './limiter.js';
import { bindLocks } from './locks.js';
import type { NativeCalls } from './native-calls.js';
import { canShareBlocks } from './shared-blocks.js';

const RWF_NOWAIT = 8;

/**
 * koffi keeps memory for this many asynchronous calls, and throws beyond 256, a budget shared with
 * everybody else in the process who uses it.
 */
const MAX_ASYNC_CALLS = 8;

/** Binds what the C library has; functions that it lacks are absent. */
export function bindLinux(koffi: Koffi): NativeCalls {
  const library = koffi.load(null);
  const find = (
    name: string,
    result: string,
    parameters: readonly string[],
  ): KoffiFunction | undefined => {
    try {
      return library.func(name, result, parameters);
    } catch {
      return undefined;
    }
  };
  const preadv2 = find('preadv2', 'int64_t', ['int', 'uintptr_t', 'int', 'int64_t', 'int']);
  const fallocate = find('fallocate', 'int', ['int', 'int', 'int64_t', 'int64_t']);
  const copyFileRange = find('copy_file_range', 'int64_t', [
    ...['int', 'uintptr_t', 'int', 'uintptr_t'],
    ...['size_t', 'unsigned int'],
  ]);
  const fcntl = find('fcntl', 'int', ['int', 'int', '...']);
  const lseek = find('lseek', 'int64_t', ['int', 'int64_t', 'int']);
  const limiter = new Limiter(MAX_ASYNC_CALLS);
  return {
    ...(preadv2 && { readNow: bindReadNow(koffi, preadv2) }),
    ...(fallocate && { fallocate: bindFallocate(koffi, fallocate, limiter) }),
    ...(copyFileRange && {
      copyFileRange: bindCopyFileRange(koffi, copyFileRange, limiter),
      sharesBlocks: canShareBlocks,
    }),
    ...(fcntl && { locks: bindLocks(koffi, fcntl) }),
    ...(lseek && {
      seek: (fd, offset, whence) => resultOf(koffi, lseek(fd, offset, whence)),
    }),
  };
}

function resultOf(koffi: Koffi, result: unknown): number {
  return typeof result === 'number' && result >= 0 ? result : -koffi.errno();
}

function bindReadNow(koffi: Koffi, preadv2: KoffiFunction): NonNullable<NativeCalls['readNow']> {
  // One iovec serves all: the call is synchronous. ArrayBuffers never move, so addresses stay valid
  // as long as the closure below holds them. A plain number passes through koffi faster than a bigint.
  const iovec = new ArrayBuffer(16);
  const base = new BigUint64Array(iovec, 0, 1);
  const length = new BigUint64Array(iovec, 8, 1);
  const lengthHalves = new Uint32Array(iovec, 8, 2);
  length[0] = 1n;
  const lowHalf = lengthHalves[0] === 1 ? 0 : 1;
  const iovecAddress = Number(koffi.address(new Uint8Array(iovec)));

  return (fd, buffer, offset) => {
    base[0] = koffi.address(buffer);
    lengthHalves[lowHalf] = buffer.length;
    const count = preadv2(fd, iovecAddress, 1, offset, RWF_NOWAIT);
    return typeof count === 'number' && count >= 0 ? count : -koffi.errno();
  };
}

function bindFallocate(
  koffi: Koffi,
  fallocate: KoffiFunction,
  limiter: Limiter,
): NonNullable<NativeCalls['fallocate']> {
  const call = (...args: NativeArgument[]): Promise<number> =>
    new Promise((resolve, reject) => {
      fallocate.async(...args, (error, result) => {
        // errno belongs to this call only until the callback returns.
        const outcome = resultOf(koffi, result);
        if (error === null || error === undefined) {
          resolve(outcome);
        } else {
          reject(error);
        }
      });
    });
  return (fd, mode, offset, length) => limiter.run(() => call(fd, mode, offset, length));
}
