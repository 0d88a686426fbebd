import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { KIB, MIB, pattern } from './support/bytes.js';
import { RAW } from './support/image-spec.js';
import { fromHere, fromQemu } from './support/journey.js';
import { lamella } from './support/make-image.js';
import { needsQemu, qemuRead } from './support/qemu.js';
import { Temp } from './support/temp.js';
import { assertSame, readAll } from './support/verify.js';

t.test('raw', needsQemu, async (t) => {
  const temp = new Temp(t);
  for (const size of [512, 100 * KIB + 512, 3 * MIB + 3 * 512]) {
    await t.test(`${size} bytes, from QEMU`, (t) => fromQemu(t, temp, { spec: RAW, size }));
    await t.test(`${size} bytes, from here`, (t) => fromHere(t, temp, { spec: RAW, size }));
  }
});

for (const size of [1, 511, 4097, 100_001, MIB + 257]) {
  t.test(`raw file of ${size} bytes, not whole sectors`, needsQemu, async (t) => {
    const path = new Temp(t).fresh('raw');
    writeFileSync(path, pattern(1, 0, size));
    const wanted = await qemuRead(path, 'raw');
    const disk = await lamella.open(path, { format: 'raw' });
    t.equal(disk.size, wanted.length, 'size as QEMU gives it');
    assertSame(t, await readAll(disk), wanted, 'content as QEMU gives it');
    await disk.close();
    t.equal(readFileSync(path).length, size, 'the file keeps its length when read');

    await using writable = await lamella.open(path, { format: 'raw', writable: true });
    const tail = pattern(2, wanted.length - 512, 512);
    await writable.write(tail, wanted.length - 512);
    await writable.flush();
    wanted.set(tail, wanted.length - 512);
    assertSame(t, await qemuRead(path, 'raw'), wanted, 'written to its last sector');
  });
}
