export * from './block-driver.js';
export * from './driver-registry.js';
export * from './extent.js';
export * from './image.js';
export * from './options.js';
export * from './placement.js';
export * from './references.js';
