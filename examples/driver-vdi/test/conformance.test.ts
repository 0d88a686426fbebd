import { conformance } from '@lamella/driver-testkit';
import { VdiDriver } from '@lamella-examples/driver-vdi';
import t from 'tap';
import { NEVER_WRITTEN, sampleImage, ZERO } from './sample.js';

const SPARSE = Array.from({ length: 1500 }, (_, block) =>
  block % 7 === 0 ? block / 7 : block % 2 === 0 ? ZERO : NEVER_WRITTEN,
);

t.test('vdi', (t) =>
  conformance(t, VdiDriver, {
    abilities: {
      write: false,
      zero: false,
      discard: false,
      backing: false,
      resize: false,
      check: false,
      measure: false,
    },
    samples: [
      { name: 'no blocks', make: () => sampleImage({ map: [] }) },
      { name: 'zeroes', make: () => sampleImage({ map: [NEVER_WRITTEN, ZERO, NEVER_WRITTEN] }) },
      {
        name: 'blocks out of order',
        make: () =>
          sampleImage({ map: [3, ZERO, 0, 1, NEVER_WRITTEN, 5, 4, 2], size: 8 * 4096 - 512 }),
      },
      {
        name: 'static, the usual blocks',
        make: () =>
          sampleImage({ map: [0, 1, 2], blockSize: 2 ** 20, size: 2.5 * 2 ** 20, type: 2 }),
      },
      { name: 'more map than a slice', make: () => sampleImage({ map: SPARSE, blockSize: 512 }) },
    ],
  }),
);
