import type { ConformanceManifest } from '@lamella/driver-testkit';

/** What the suite has to know of slab images. */
export const SLAB: ConformanceManifest = {
  name: 'slab',
  create: { size: 128 * 1024 + 1536 },
  abilities: {
    write: true,
    zero: true,
    discard: true,
    backing: true,
    resize: false,
    check: true,
    measure: false,
  },
};
