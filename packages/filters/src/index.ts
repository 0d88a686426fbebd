export { CopyOnReadDriver } from './copy-on-read.js';
export { FilterImage } from './filter-image.js';
export { PartitionDriver } from './partition/partition-driver.js';
export { type Partition, readPartitions } from './partition/partitions.js';
export { ReadOnlyDriver } from './read-only.js';
export { StatisticsDriver } from './statistics.js';
export { ThrottleDriver } from './throttle.js';
