export * from './lamella-error.js';
