/**
 * The package for programs: {@link Lamella} with the raw, qcow2 and QED drivers and the platform of Node.js. It exports
 * everything of `@lamella/core`, too, whose pages are there.
 *
 * @packageDocumentation
 */

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
