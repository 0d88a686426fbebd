import { RawDriver } from '@lamella/driver-raw';
import { conformance } from '@lamella/driver-testkit';
import t from 'tap';

t.test('raw', (t) =>
  conformance(t, RawDriver, {
    name: 'raw',
    create: {},
    takesAnything: true,
    abilities: {
      write: true,
      zero: true,
      discard: true,
      backing: false,
      resize: true,
      check: false,
      measure: true,
    },
  }),
);
