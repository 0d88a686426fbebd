import { conformance } from '@lamella/driver-testkit';
import t from 'tap';
import { MinimalDriver } from '../src/minimal-driver.js';
import { sampleImage } from './sample.js';

t.test('the minimal driver passes', (t) =>
  conformance(t, MinimalDriver, {
    abilities: { write: false, resize: false, check: false },
    samples: [
      { name: 'empty', make: () => sampleImage([]) },
      { name: 'out of order', make: () => sampleImage([3, 0, 2, 1, 5, 4]) },
    ],
  }),
);
