import 'reflect-metadata';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CopyOnReadDriver,
  PartitionDriver,
  ReadOnlyDriver,
  StatisticsDriver,
  ThrottleDriver,
} from '@lamella/filters';
import { type Disk, Lamella } from 'lamella';
import type { Test } from 'tap';

/** A set-up with all filters. */
export function withFilters(): Lamella {
  return new Lamella()
    .register(CopyOnReadDriver)
    .register(PartitionDriver)
    .register(ReadOnlyDriver)
    .register(StatisticsDriver)
    .register(ThrottleDriver);
}

/** Paths in a folder of its own for one test. */
export function folder(t: Test): (name: string) => string {
  const directory = mkdtempSync(join(tmpdir(), 'lamella-filters-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return (name) => join(directory, name);
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
