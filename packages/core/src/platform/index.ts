export * from './codec.js';
export * from './logger.js';
