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
  type RebaseOptions,
  type RebaseResult,
  rebase as rebaseImage,
} from './operations/index.js';
export * from './platform/index.js';
export * from './storage/index.js';
export { CORE_VERSION } from './version.js';
