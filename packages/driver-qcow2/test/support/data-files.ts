import { Disk, MemoryStorage, type OptionValue, type Storage } from '@lamella/core';
import { CrashStorage, LastingStorage, Timeline } from '@lamella/driver-testkit';
import { createOptions, driver } from './disks.js';

/** An image and its data file. */
export interface Pair {
  readonly image: Storage;
  readonly data: Storage;
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
  const dataFile = new LastingStorage(data);
  const opened = await driver.open(image, {
    writable,
    cacheSize,
    openDataFile: async () => dataFile,
  });
  const layer = {
    format: 'qcow2',
    storage: new LastingStorage(image),
    dataFile,
    image: opened,
    writable,
  };
  return new Disk([layer]);
}

/** Two files whose crashes are rebuilt. */
export interface CrashingPair extends Pair {
  readonly image: CrashStorage;
  readonly data: CrashStorage;
}

/** Records what happens to two files in one order. */
export async function recorded({ image, data }: Pair): Promise<CrashingPair> {
  const timeline = new Timeline();
  return {
    image: await CrashStorage.over(image, { timeline }),
    data: await CrashStorage.over(data, { timeline }),
  };
}

/** Moments right before each flush of either file, and the present one. */
export function boundariesOf({ image, data }: CrashingPair): readonly number[] {
  return [...new Set([...image.boundaries, ...data.boundaries])].sort((a, b) => a - b);
}

/** What both files hold after a crash: all up to the last flush of each, and some of what came later. */
export function stateAt({ image, data }: CrashingPair, moment: number, survives: () => boolean) {
  return { image: image.stateAt(moment, survives), data: data.stateAt(moment, survives) };
}
