import { __CLASS__Driver } from '__PACKAGE__';
import { test } from 'node:test';
import { conformanceChecks } from '@lamella/driver-testkit';
import { sampleImage } from './sample.js';

const checks = conformanceChecks(__CLASS__Driver, {
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
    { name: 'empty disk', make: () => sampleImage([]) },
    { name: 'zeroes', make: () => sampleImage([0, 0, 0]) },
    { name: 'blocks out of order', make: () => sampleImage([3, 0, 1, 2, 0, 0, 5, 4]) },
    { name: 'many blocks', make: () => sampleImage(Array.from({ length: 200 }, (_, i) => i % 90)) },
  ],
});

for (const check of checks) {
  test(`${check.rule}, ${check.group}: ${check.name}`, async (t) => {
    const skipped = await check.run();
    if (skipped !== undefined) {
      t.skip(skipped);
    }
  });
}
