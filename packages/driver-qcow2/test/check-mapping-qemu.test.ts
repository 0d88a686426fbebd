import t from 'tap';
import { compareAll } from './support/compare-check.js';
import { MAPPING_DAMAGE } from './support/damage/mapping.js';
import { directory, qemuTest } from './support/qemu.js';

t.test('check and repair like qemu-img: L1 and L2 tables', qemuTest, async (t) => {
  await compareAll(t, directory(t), MAPPING_DAMAGE);
});
