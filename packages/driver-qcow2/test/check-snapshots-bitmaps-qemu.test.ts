import t from 'tap';
import { compareAll } from './support/compare-check.js';
import { SNAPSHOT_AND_BITMAP_DAMAGE } from './support/damage/snapshots-bitmaps.js';
import { directory, qemuTest } from './support/qemu.js';

t.test('check and repair like qemu-img: snapshots and bitmaps', qemuTest, async (t) => {
  await compareAll(t, directory(t), SNAPSHOT_AND_BITMAP_DAMAGE);
});
