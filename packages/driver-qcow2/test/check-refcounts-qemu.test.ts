import t from 'tap';
import { compareAll } from './support/compare-check.js';
import { REFCOUNT_DAMAGE } from './support/damage/refcounts.js';
import { directory, qemuTest } from './support/qemu.js';

t.test('check and repair like qemu-img: refcounts', qemuTest, async (t) => {
  await compareAll(t, directory(t), REFCOUNT_DAMAGE);
});
