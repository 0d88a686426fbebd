export { FaultyStorage } from './faulty-storage.js';
export { InterceptedStorage, type StorageCall } from './intercepted-storage.js';
export { type TraceEntry, type TracingOptions, TracingStorage } from './tracing-storage.js';
export { WrappedStorage } from './wrapped-storage.js';
