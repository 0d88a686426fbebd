/**
 * How writes reach the device, under QEMU's names.
 *
 * - `writeback`: through the page cache of the system; durable after a flush
 * - `none`: past the page cache; durable after a flush
 * - `writethrough`: through the page cache; durable when the write is done
 * - `directsync`: past the page cache; durable when the write is done
 * - `unsafe`: as `writeback`, but flushes do nothing. For what can be made again
 */
export type CacheMode = (typeof CACHE_MODES)[number];

/** The names of all {@link CacheMode}s. */
export const CACHE_MODES = ['writeback', 'none', 'writethrough', 'directsync', 'unsafe'] as const;

/** Whether a write is durable when it is done, without a flush. */
export function isWriteThrough(mode: CacheMode | undefined): boolean {
  return mode === 'writethrough' || mode === 'directsync';
}

/** Whether reads and writes go past the page cache. */
export function isDirect(mode: CacheMode | undefined): boolean {
  return mode === 'none' || mode === 'directsync';
}
