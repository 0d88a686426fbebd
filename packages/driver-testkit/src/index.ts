export { InterceptedStorage, type StorageCall, WrappedStorage } from '@lamella/core';
export { FaultyStorage } from './faulty-storage.js';
export { type TraceEntry, type TracingOptions, TracingStorage } from './tracing-storage.js';
