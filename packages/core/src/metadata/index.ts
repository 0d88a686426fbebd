export type { CachedSlice, TableCacheOptions } from './table-cache.js';
export { TableCache } from './table-cache.js';
export { TableLocks } from './table-locks.js';
export type { WriteBack } from './write-back.js';
