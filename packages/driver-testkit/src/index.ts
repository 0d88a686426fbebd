/**
 * The conformance suite for drivers ({@link conformance}), and storages that trace, fail, bound and record what a crash
 * leaves.
 *
 * @packageDocumentation
 */

export { InterceptedStorage, type StorageCall, WrappedStorage } from '@lamella/core';
export type { Check } from './checks/check.js';
export {
  conformance,
  conformanceChecks,
  type FailureDetails,
  type RunningTest,
} from './conformance.js';
export {
  firstDifference,
  pattern,
  randomSource,
  sameBytes,
  storageContent,
} from './model/bytes.js';
export {
  assertOneOf,
  type Change,
  changedBytes,
  type Segment,
  segments,
} from './model/changes.js';
export { DiskModel } from './model/disk-model.js';
export { GuestHistory } from './model/guest-history.js';
export { RuleViolation } from './rule-violation.js';
export { RULES, type Rule, type RuleId } from './rules.js';
export { BoundExceeded, BoundedStorage, type StorageBounds } from './storage/bounded-storage.js';
export { CrashStorage, type CrashStorageOptions } from './storage/crash-storage.js';
export { FaultyStorage } from './storage/faulty-storage.js';
export { LastingStorage } from './storage/lasting-storage.js';
export { Timeline } from './storage/timeline.js';
export { type TraceEntry, type TracingOptions, TracingStorage } from './storage/tracing-storage.js';
export type {
  Abilities,
  ConformanceManifest,
  CreationManifest,
  DriverSource,
  SampleImage,
  SampleSource,
} from './subject/manifest.js';
