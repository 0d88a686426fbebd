export * from '@lamella/core';
export { registerBuiltins } from './builtins.js';
export type { ComposePart } from './compose.js';
export { type ConvertImageOptions, ImageConverter } from './convert-image.js';
export { type CreateImageOptions, ImageCreator } from './image-creator.js';
export {
  type BlockDriverClass,
  type CompareImageOptions,
  type ComposeOptions,
  type FilterOptions,
  Lamella,
  type LamellaOptions,
  type MeasureImageOptions,
  type OverlayOptions,
} from './lamella.js';
