import { MemoryStorage } from '@lamella/core';
import { type ConformanceManifest, conformance, conformanceChecks } from '@lamella/driver-testkit';
import t from 'tap';
import { SLAB } from './support/manifest.js';
import { SlabDriver } from './support/slab-driver.js';

/** Its images can't be told by their first bytes, as those of a format whose magic number is at the end. */
class HiddenSlabDriver extends SlabDriver {
  override probe(): number {
    return 0;
  }
}

const EFFORT = 0.1;

t.test('a format that is not told by its first bytes passes when the manifest says so', (t) =>
  conformance(t, HiddenSlabDriver, {
    ...SLAB,
    effort: EFFORT,
    abilities: { ...SLAB.abilities, probe: false },
  }),
);

t.test('a manifest that denies what probe tells fails', async (t) => {
  const manifest: ConformanceManifest = { ...SLAB, abilities: { probe: false } };
  const checks = conformanceChecks(SlabDriver, manifest);
  const own = checks.find(({ rule }) => rule === 'probe-1');
  await t.rejects(Promise.resolve(own?.run()), /breaks rule probe-1/);
});

t.test('samples may be buffers, whose slices share memory', async (t) => {
  const driver = new SlabDriver();
  const storage = new MemoryStorage();
  await driver.create(storage, { size: 65536, options: { cluster_size: 4096 } });
  const bytes = new Uint8Array(storage.size);
  storage.read(bytes, 0);
  const image = Buffer.from(bytes);
  const content = Buffer.alloc(65536);
  await conformance(t, SlabDriver, {
    name: 'buffers',
    effort: EFFORT,
    samples: [{ name: 'empty', make: () => ({ image, content }) }],
  });
  t.same(image, Buffer.from(bytes), 'the image is as it was');
});

for (const clusters of [1, 2, 3]) {
  t.test(`disks of ${clusters} clusters and a bit pass`, (t) =>
    conformance(t, SlabDriver, {
      ...SLAB,
      effort: EFFORT,
      create: { size: clusters * 4096 + 1536 },
    }),
  );
}
