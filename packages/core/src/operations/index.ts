export type { ChangedImageOptions } from './changed-image.js';
export { type CheckImageOptions, check } from './check.js';
export { type CommitOptions, type CommitResult, commit } from './commit.js';
export { type CompareOptions, type CompareResult, compare } from './compare.js';
export { type ConvertOptions, type ConvertResult, convert } from './convert.js';
export { type MeasureOptions, measure } from './measure.js';
export { type RebaseOptions, type RebaseResult, rebase } from './rebase.js';
