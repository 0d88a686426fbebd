import type { OptionValues } from '@lamella/core';
import { conformance } from '@lamella/driver-testkit';
import t from 'tap';
import { conformanceManifest } from './support/conformance.js';
import { driver } from './support/disks.js';

const VARIANTS: readonly (readonly [string, OptionValues])[] = [
  ['v2', { compat: '0.10', cluster_size: 4096 }],
  ['extended L2', { cluster_size: 16384, extended_l2: true }],
  ['512-byte clusters', { cluster_size: 512 }],
  ['1-bit refcounts', { cluster_size: 4096, refcount_bits: 1 }],
];

for (const [name, options] of VARIANTS) {
  t.test(name, (t) => conformance(t, () => driver, conformanceManifest(name, options, 0.1)));
}
