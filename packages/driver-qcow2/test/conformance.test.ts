import { conformance } from '@lamella/driver-testkit';
import t from 'tap';
import { conformanceManifest } from './support/conformance.js';
import { driver } from './support/disks.js';

t.test('version 3', (t) =>
  conformance(t, () => driver, conformanceManifest('v3', { cluster_size: 4096 })),
);
