import t from 'tap';
import { KIB, MIB } from './support/bytes.js';
import { qed, qemuMakes, qemuOpens } from './support/image-spec.js';
import { fromHere, fromQemu } from './support/journey.js';
import { makeBacking } from './support/make-image.js';
import { needsQemu, qemuCheck, qemuCreate } from './support/qemu.js';
import { Temp } from './support/temp.js';

/** Each size of tables with small clusters; with others, some. */
const GEOMETRIES = [
  { clusterSize: 4 * KIB, tableSizes: [1, 2, 4, 16] },
  { clusterSize: 64 * KIB, tableSizes: [1, 4] },
  { clusterSize: MIB, tableSizes: [2, 16] },
];

for (const { clusterSize, tableSizes } of GEOMETRIES) {
  for (const tableSize of tableSizes) {
    const spec = qed(clusterSize, tableSize);
    // No multiple of the cluster size; more than one L2 table with the smallest.
    const size = (clusterSize === MIB ? 9 : 5) * MIB + 3 * 512;
    t.test(spec.name, needsQemu, async (t) => {
      const temp = new Temp(t);
      const shorter = await makeBacking(temp, spec, MIB + 512 * 5);
      const longer = await makeBacking(temp, spec, size + 300 * KIB);
      // Tables of 16 MiB are written by QEMU as a whole: one journey with them is enough.
      const backings = clusterSize * tableSize > 4 * MIB ? [longer] : [undefined, shorter, longer];
      for (const backing of backings) {
        const over = backing === undefined ? 'alone' : `over ${backing.format}`;
        await t.test(`${over}, from QEMU`, (t) => fromQemu(t, temp, { spec, size, backing }));
        await t.test(`${over}, from here`, (t) => fromHere(t, temp, { spec, size, backing }));
      }
    });
  }
}

for (const tableSize of [2, 16]) {
  const spec = qed(64 * MIB, tableSize);
  const size = 130 * MIB + 3 * 512;
  t.test(spec.name, needsQemu, async (t) => {
    const temp = new Temp(t);
    // A write into a cluster over a backing file copies 64 MiB: once is enough.
    const backing = tableSize === 2 ? await makeBacking(temp, spec, 3 * MIB) : undefined;
    await fromHere(t, temp, { spec, size, backing });
  });
}

t.test('what QEMU 7.2 refuses is still what we leave out', needsQemu, async (t) => {
  const temp = new Temp(t);
  const single = qed(4 * KIB, 1);
  t.ok(qemuMakes(single) && !qemuOpens(single));
  const path = temp.fresh('qed');
  await qemuCreate(path, 'qed', MIB, single.options);
  await t.rejects(qemuCheck(path, 'qed'), /table offset is invalid/);
  const large = qed(64 * MIB, 2);
  t.notOk(qemuMakes(large) || qemuOpens(large));
  await t.rejects(qemuCreate(temp.fresh('qed'), 'qed', MIB, large.options), /less than 0 bytes/);
});
