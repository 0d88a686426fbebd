import { conformance } from '@lamella/driver-testkit';
import { ParallelsDriver } from '@lamella-examples/driver-parallels';
import t from 'tap';

const ABILITIES = {
  write: true,
  zero: true,
  discard: true,
  backing: false,
  resize: true,
  check: true,
  measure: false,
};

t.test('parallels', (t) =>
  conformance(t, ParallelsDriver, {
    create: { options: { cluster_size: 65536 } },
    abilities: ABILITIES,
  }),
);

t.test('parallels, places in sectors, clusters of 63 sectors', (t) =>
  conformance(t, ParallelsDriver, {
    name: 'parallels of old',
    create: { options: { cluster_size: 63 * 512, magic: 'WithoutFreeSpace' } },
    abilities: ABILITIES,
    effort: 0.25,
  }),
);

t.test('parallels, a table of several pages', (t) =>
  conformance(t, ParallelsDriver, {
    name: 'parallels of small clusters',
    create: { options: { cluster_size: 512 }, size: 1_200_128 },
    abilities: ABILITIES,
    effort: 0.25,
  }),
);
