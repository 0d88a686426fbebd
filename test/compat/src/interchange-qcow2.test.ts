import t from 'tap';
import { KIB, MIB } from './support/bytes.js';
import { extendedL2, type ImageSpec, qcow2 } from './support/image-spec.js';
import { fromHere, fromQemu } from './support/journey.js';
import { makeBacking } from './support/make-image.js';
import { needsQemu } from './support/qemu.js';
import { Temp } from './support/temp.js';

const SPECS: readonly ImageSpec[] = [
  ...[512, 4 * KIB, 64 * KIB, 2 * MIB].flatMap((clusterSize) => [
    qcow2(2, clusterSize),
    qcow2(3, clusterSize),
  ]),
  extendedL2(16 * KIB),
  extendedL2(64 * KIB),
  extendedL2(2 * MIB),
];

for (const spec of SPECS) {
  // No multiple of the cluster size, and more than one L2 table where clusters are small.
  const size = spec.clusterSize > 64 * KIB ? 9 * MIB + 3 * 512 : 3 * MIB + 3 * 512;
  t.test(spec.name, needsQemu, async (t) => {
    const temp = new Temp(t);
    const shorter = await makeBacking(temp, spec, MIB + 512 * 5);
    const longer = await makeBacking(temp, spec, size + 300 * KIB);
    for (const backing of [undefined, shorter, longer]) {
      const over = backing === undefined ? 'alone' : `over ${backing.format}`;
      await t.test(`${over}, from QEMU`, (t) => fromQemu(t, temp, { spec, size, backing }));
      await t.test(`${over}, from here`, (t) => fromHere(t, temp, { spec, size, backing }));
    }
  });
}
