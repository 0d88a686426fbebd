import { type CheckResult, MemoryStorage, type RepairMode } from '@lamella/core';
import { driver, filled, newImage, openDisk } from './disks.js';
import { Editable } from './editable.js';

/** Bytes of a cluster in {@link writtenImage}. */
export const CLUSTER = 4096;

/** All bytes of a storage, to be damaged. */
export async function editable(storage: MemoryStorage): Promise<Editable> {
  const bytes = Buffer.alloc(storage.size);
  await storage.read(bytes, 0);
  return new Editable(bytes);
}

/** A storage with the bytes of an image. */
export function stored(image: Editable): MemoryStorage {
  return MemoryStorage.from(image.bytes, { location: 'damaged.qcow2' });
}

/** An image of 1 MiB with data in its first 16 clusters, to be damaged. */
export async function writtenImage(compat = '1.1'): Promise<Editable> {
  const storage = await newImage(1024 * 1024, { cluster_size: CLUSTER, compat });
  const disk = await openDisk([storage], { writable: true });
  await disk.write(filled(16 * CLUSTER, 7), 0);
  await disk.close();
  return editable(storage);
}

/** Checks a storage. */
export async function check(
  storage: MemoryStorage,
  repair: RepairMode = 'none',
): Promise<CheckResult> {
  const image = await driver.open(storage, { writable: repair !== 'none', forCheck: true });
  if (image.check === undefined) {
    throw new Error('the driver has no check');
  }
  return image.check({ repair });
}
