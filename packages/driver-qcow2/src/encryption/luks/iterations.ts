import type { CryptoPlatform, HashName } from '@lamella/core';

/** Fewest iterations that are ever used, as QEMU does. */
const MIN_ITERATIONS = 1000;
/** Most iterations that are ever used. */
const MAX_ITERATIONS = 2 ** 31 - 1;
/** Time in ms that a measurement must take to mean something. */
const LONG_ENOUGH = 20;
/** Iterations of the first measurement. */
const FIRST_TRY = 8192;

/**
 * Iterations of PBKDF2 that take a time on this machine.
 *
 * @param length - bytes of the derived key
 * @param time - ms
 * @returns at least 1000
 */
export async function iterationsFor(
  crypto: CryptoPlatform,
  hash: HashName,
  length: number,
  time: number,
): Promise<number> {
  const secret = new Uint8Array(16);
  const salt = new Uint8Array(32);
  for (let iterations = FIRST_TRY; ; iterations *= 2) {
    const start = Date.now();
    await crypto.pbkdf2(hash, secret, salt, iterations, length);
    const taken = Date.now() - start;
    if (taken >= LONG_ENOUGH || iterations > MAX_ITERATIONS / 2) {
      const wanted = Math.round((iterations * time) / Math.max(1, taken));
      return Math.min(MAX_ITERATIONS, Math.max(MIN_ITERATIONS, wanted));
    }
  }
}
