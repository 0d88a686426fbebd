import type { Koffi, KoffiFunction } from './koffi.js';
import type { Limiter } from './limiter.js';
import type { NativeCalls } from './native-calls.js';

/** Copies within the kernel, on a thread of libuv's pool. */
export function bindCopyFileRange(
  koffi: Koffi,
  copyFileRange: KoffiFunction,
  limiter: Limiter,
): NonNullable<NativeCalls['copyFileRange']> {
  return (from, fromOffset, to, toOffset, length) =>
    limiter.run(
      () =>
        new Promise((resolve, reject) => {
          // Of this call alone, and held by the callback until it ends; an ArrayBuffer never moves.
          const offsets = new ArrayBuffer(16);
          new BigInt64Array(offsets).set([BigInt(fromOffset), BigInt(toOffset)]);
          const first = koffi.address(new Uint8Array(offsets));
          copyFileRange.async(from, first, to, first + 8n, length, 0, (error, result) => {
            const errno = offsets.byteLength === 16 ? koffi.errno() : 0;
            if (error === null || error === undefined) {
              resolve(typeof result === 'number' && result >= 0 ? result : -errno);
            } else {
              reject(error);
            }
          });
        }),
    );
}
