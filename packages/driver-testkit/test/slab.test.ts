import { conformance, conformanceChecks } from '@lamella/driver-testkit';
import t from 'tap';
import { SLAB } from './support/manifest.js';
import { SlabDriver } from './support/slab-driver.js';

t.test('a small complete driver passes', (t) =>
  conformance(t, SlabDriver, { ...SLAB, effort: 0.5 }),
);

t.test('every check has a name of its own', async (t) => {
  const checks = conformanceChecks(SlabDriver, SLAB);
  const names = checks.map(({ rule, group, name }) => `${rule} ${group} ${name}`);
  t.equal(new Set(names).size, names.length);
  t.ok(checks.length > 300, `${checks.length} checks`);
});
