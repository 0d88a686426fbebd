/**
 * The interfaces between formats, storages and the engine, and the engine itself: {@link BlockDriver} and
 * {@link Image} for who writes a driver, {@link Storage} for who brings another place to keep images in,
 * {@link Disk} for who uses one. Imports nothing of Node.js.
 *
 * @packageDocumentation
 */

import 'reflect-metadata';

export * from './bytes/index.js';
export * from './chain/index.js';
export * from './driver/index.js';
export * from './engine/index.js';
export * from './errors/index.js';
export * from './metadata/index.js';
export {
  type ChangedImageOptions,
  type CheckImageOptions,
  type CommitOptions,
  type CommitResult,
  type CompareOptions,
  type CompareResult,
  type ConvertOptions,
  type ConvertResult,
  check as checkImage,
  commit as commitImage,
  compare as compareDisks,
  convert as convertDisks,
  type MeasureOptions,
  measure as measureImage,
  type RebaseOptions,
  type RebaseResult,
  rebase as rebaseImage,
} from './operations/index.js';
export * from './platform/index.js';
export * from './storage/index.js';
export { CORE_VERSION } from './version.js';
