import { Disk, MemoryStorage, type Storage } from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import { WrappedStorage } from '@lamella/driver-testkit';
import { DeflateCodec } from '@lamella/platform-node';

export { content, createOptions, filled, randomSource } from './disks.js';

/** The driver with a codec that compresses. */
export const compressingDriver = new Qcow2Driver([new DeflateCodec()]);

/** A storage that outlives the disks over it. */
class Lasting extends WrappedStorage {
  override async close(): Promise<void> {}
}

/** An empty storage. */
export function newStorage(): MemoryStorage {
  return new MemoryStorage({ location: 'new.qcow2' });
}

/** Opens a qcow2 disk that can write compressed clusters; closing it leaves the storage open. */
export async function open(
  storage: Storage,
  writable = false,
  options: { readonly below?: Storage; readonly cacheSize?: number } = {},
): Promise<Disk> {
  const layer = async (of: Storage, write: boolean) => ({
    format: 'qcow2',
    storage: new Lasting(of),
    image: await compressingDriver.open(of, { writable: write, cacheSize: options.cacheSize }),
    writable: write,
  });
  const top = await layer(storage, writable);
  return new Disk(options.below === undefined ? [top] : [top, await layer(options.below, false)]);
}
