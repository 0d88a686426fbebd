export type { CachedSlice } from './slice.js';
export type { TableCacheOptions } from './table-cache.js';
export { MIN_CACHED_SLICES, TableCache } from './table-cache.js';
export { TableLocks } from './table-locks.js';
export type { WriteBack } from './write-back.js';
