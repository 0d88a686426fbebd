import { QedDriver } from '@lamella/driver-qed';
import { type ConformanceManifest, conformance } from '@lamella/driver-testkit';
import t from 'tap';

const ABILITIES: ConformanceManifest['abilities'] = {
  write: true,
  zero: true,
  discard: true,
  backing: true,
  resize: true,
  check: true,
  measure: true,
};

t.test('clusters of 4 KiB, tables of one cluster', (t) =>
  conformance(t, QedDriver, {
    name: '4k',
    create: { options: { cluster_size: 4096, table_size: 1 } },
    abilities: ABILITIES,
  }),
);

t.test('defaults', (t) =>
  conformance(t, QedDriver, { name: '64k', create: {}, abilities: ABILITIES, effort: 0.1 }),
);
