import type { DataExtent, Image, Layer } from '@lamella/core';
import { MemoryStorage } from '@lamella/core';
import { BoundedStorage } from '../storage/bounded-storage.js';

/** A layer below the image under test: its bytes, read-only. A change of it fails the check. */
export function flatLayer(bytes: Uint8Array): Layer {
  const memory = MemoryStorage.from(bytes, { location: 'memory:below' });
  const storage = new BoundedStorage(memory, { mayChange: false });
  const image: Image = {
    size: bytes.length,
    clusterSize: 1,
    references: {},
    options: {},
    map: (offset, length): DataExtent => ({ kind: 'data', length, storage, offset }),
    close: async () => undefined,
  };
  return { format: 'flat', storage, image, writable: false };
}
