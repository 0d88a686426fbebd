import { Disk, MemoryStorage, type OptionValue, type Storage, WrappedStorage } from '@lamella/core';
import { createOptions, driver } from './disks.js';

/** An image and its data file. */
export interface Pair {
  readonly image: Storage;
  readonly data: Storage;
}

/** A storage that outlives the disks over it. */
class Lasting extends WrappedStorage {
  override async close(): Promise<void> {}
}

/** A new image in memory with a data file in memory. */
export async function newPair(
  size: number,
  options: Record<string, OptionValue> = {},
  data: MemoryStorage = new MemoryStorage({ location: 'new.data' }),
): Promise<Pair> {
  const image = new MemoryStorage({ location: 'new.qcow2' });
  await driver.create(image, {
    ...createOptions(size, { data_file: 'new.data', ...options }),
    openDataFile: async () => data,
  });
  return { image, data };
}

/** Opens a disk over an image with a data file; closing it leaves the storages open. */
export async function openPair(
  { image, data }: Pair,
  options: { readonly writable?: boolean; readonly cacheSize?: number } = {},
): Promise<Disk> {
  const { writable = false, cacheSize } = options;
  const dataFile = new Lasting(data);
  const opened = await driver.open(image, {
    writable,
    cacheSize,
    openDataFile: async () => dataFile,
  });
  const layer = { format: 'qcow2', storage: new Lasting(image), dataFile, image: opened, writable };
  return new Disk([layer]);
}
