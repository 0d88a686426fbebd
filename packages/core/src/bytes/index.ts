export * from './align.js';
export * from './awaitable.js';
export * from './fields.js';
export * from './zeroes.js';
