export { Engine } from './engine.js';
export { type DiskExtent, readsAsZeroes } from './extents.js';
export { guestOf } from './guest.js';
export type { EngineLayer, LayerStack, MissingBacking } from './layers.js';
export { type Request, type RequestMode, RequestTracker } from './request-tracker.js';
export { type Copied, NOTHING_COPIED } from './system-copier.js';
