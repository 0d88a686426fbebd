import 'reflect-metadata';
import {
  CopyOnReadDriver,
  PartitionDriver,
  ReadOnlyDriver,
  StatisticsDriver,
  ThrottleDriver,
} from '@lamella/filters';
import { type Disk, Lamella } from 'lamella';

/** A set-up with all filters. */
export function withFilters(): Lamella {
  return new Lamella()
    .register(CopyOnReadDriver)
    .register(PartitionDriver)
    .register(ReadOnlyDriver)
    .register(StatisticsDriver)
    .register(ThrottleDriver);
}

/** Bytes of a disk. */
export async function bytesOf(
  disk: Disk,
  offset = 0,
  length = disk.size - offset,
): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await disk.read(bytes, offset);
  return bytes;
}
