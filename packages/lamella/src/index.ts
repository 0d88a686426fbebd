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
export { Lamella } from './lamella.js';
export type {
  BlockDriverClass,
  CompareImageOptions,
  ComposeOptions,
  FilterOptions,
  LamellaOptions,
  MeasureImageOptions,
  OverlayOptions,
} from './options.js';
