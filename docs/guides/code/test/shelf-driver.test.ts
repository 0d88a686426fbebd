import { type ConformanceManifest, conformance } from '@lamella/driver-testkit';
import t from 'tap';
import { ShelfDriver } from '../src/shelf-driver.js';
import { sampleImage } from './sample.js';

// #region manifest
const abilities: ConformanceManifest['abilities'] = {
  write: true,
  zero: true,
  discard: true,
  backing: true,
  resize: true,
  check: true,
  measure: true,
};

t.test('images that the driver makes', (t) =>
  conformance(t, ShelfDriver, { abilities, create: { options: { cluster_size: 4096 } } }),
);
// #endregion manifest

t.test('an image made elsewhere', (t) =>
  conformance(t, ShelfDriver, {
    name: 'sample',
    abilities,
    samples: [{ name: 'out of order', make: () => sampleImage([3, 0, 2, 1, 5, 4]) }],
    effort: 0.1,
  }),
);

t.test('default options', (t) =>
  conformance(t, ShelfDriver, { name: '64k', abilities, create: {}, effort: 0.1 }),
);
