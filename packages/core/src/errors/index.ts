export * from './abort.js';
export * from './lamella-error.js';
