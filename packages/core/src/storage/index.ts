export * from './cache-mode.js';
export * from './copy.js';
export * from './memory-storage.js';
export * from './permissions.js';
export * from './storage.js';
export * from './storage-driver.js';
export * from './storage-registry.js';
