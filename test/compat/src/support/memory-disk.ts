import { LastingStorage, storageContent } from '@lamella/driver-testkit';
import {
  ChainResolver,
  Disk,
  ImageCreator,
  type Layer,
  MemoryStorage,
  type Storage,
} from 'lamella';
import type { ImageSpec } from './image-spec.js';
import { lamella } from './make-image.js';

/** The bytes of a new, empty image. */
export async function emptyImage(spec: ImageSpec, size: number): Promise<Uint8Array> {
  const storage = new MemoryStorage();
  const creator = lamella.container.resolve(ImageCreator);
  await creator.createIn(storage, spec.format, size, spec.options);
  return storageContent(storage);
}

/** A writable disk over a storage, with other layers below. */
export async function openOver(
  storage: Storage,
  spec: ImageSpec,
  options: { readonly cacheSize?: number | undefined; readonly below?: readonly Layer[] } = {},
): Promise<Disk> {
  const layer = await lamella.container
    .resolve(ChainResolver)
    .openIn(storage, { format: spec.format }, { writable: true, cacheSize: options.cacheSize });
  return new Disk([layer], options.below);
}

/** A storage whose content can be looked at after the disk over it was closed. */
export class KeptOpen extends LastingStorage {
  /** All bytes. */
  bytes(): Promise<Uint8Array> {
    return storageContent(this);
  }
}
