/**
 * Drivers without a format, to be put over a disk with `lamella.filter`: throttle, copy-on-read, statistics, read-only,
 * partition. `blkdebug` goes under an image.
 *
 * @packageDocumentation
 */

export { BlkdebugDriver } from './blkdebug/blkdebug-driver.js';
export type { BreakpointListener, Breakpoints } from './blkdebug/breakpoints.js';
export { type BlkdebugEvent, EVENTS as BLKDEBUG_EVENTS, eventOf } from './blkdebug/events.js';
export { FaultStorage } from './blkdebug/fault-storage.js';
export {
  type InjectRule,
  REQUEST_TYPES,
  type RequestType,
  type Rules,
  type StateRule,
} from './blkdebug/rules.js';
export { CopyOnReadDriver } from './copy-on-read.js';
export { FilterImage } from './filter-image.js';
export { PartitionDriver } from './partition/partition-driver.js';
export { type Partition, readPartitions } from './partition/partitions.js';
export { ReadOnlyDriver } from './read-only.js';
export { StatisticsDriver } from './statistics.js';
export { StorageImage } from './storage-image.js';
export { ThrottleDriver } from './throttle.js';
