export * from './clock.js';
export * from './codec.js';
export * from './crypto.js';
export * from './data-cipher.js';
export * from './logger.js';
