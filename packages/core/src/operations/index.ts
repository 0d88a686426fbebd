export { type CheckImageOptions, check } from './check.js';
export { type CommitOptions, type CommitResult, commit } from './commit.js';
export { type RebaseOptions, type RebaseResult, rebase } from './rebase.js';
