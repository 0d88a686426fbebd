import t from 'tap';
import { compareAll } from './support/compare-check.js';
import { HEADER_DAMAGE } from './support/damage/header.js';
import { directory, qemuTest } from './support/qemu.js';

t.test('check and repair like qemu-img: header fields and file length', qemuTest, async (t) => {
  await compareAll(t, directory(t), HEADER_DAMAGE);
});
