export * from '@lamella/core';
export { registerBuiltins } from './builtins.js';
export type { ComposePart } from './compose.js';
export { type CreateImageOptions, ImageCreator } from './image-creator.js';
export {
  type BlockDriverClass,
  type ComposeOptions,
  type FilterOptions,
  Lamella,
  type LamellaOptions,
  type OverlayOptions,
} from './lamella.js';
