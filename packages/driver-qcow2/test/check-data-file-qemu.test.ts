import t from 'tap';
import { compareAll } from './support/compare-check.js';
import { DATA_FILE_DAMAGE } from './support/damage/data-file.js';
import { directory, qemuTest } from './support/qemu.js';

t.test('check and repair like qemu-img: external data files', qemuTest, async (t) => {
  await compareAll(t, directory(t), DATA_FILE_DAMAGE);
});
