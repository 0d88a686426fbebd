import { join } from 'node:path';
import { Lamella } from 'lamella';
import t from 'tap';
import { ProtectDriver } from '../src/protect-filter.js';

t.test('the beginning is protected, the rest is not', async (t) => {
  const location = join(t.testdir(), 'disk.qcow2');
  // #region use
  const lamella = new Lamella().register(ProtectDriver);
  await lamella.create(location, { format: 'qcow2', size: 8 * 1024 ** 2 });
  await using disk = await lamella.open(location, { writable: true });
  await using guarded = await lamella.filter(disk, {
    format: 'protect',
    options: { below: '64k' },
  });
  await guarded.write(new Uint8Array(512).fill(1), 64 * 1024);
  // #endregion use
  await t.rejects(guarded.write(new Uint8Array(512), 65535), { code: 'READ_ONLY' });
  await t.rejects(guarded.writeZeroes(0, 65536), { code: 'READ_ONLY' });
  const read = new Uint8Array(512);
  await guarded.read(read, 64 * 1024);
  t.ok(read.every((byte) => byte === 1));
  t.same(guarded.layers[0]?.options, { below: 65536 });
});

t.test('1 MiB without an option', async (t) => {
  const location = join(t.testdir(), 'disk.raw');
  const lamella = new Lamella().register(ProtectDriver);
  await lamella.create(location, { format: 'raw', size: 8 * 1024 ** 2 });
  await using disk = await lamella.open(location, { format: 'raw', writable: true });
  await using guarded = await lamella.filter(disk, { format: 'protect' });
  await t.rejects(guarded.write(new Uint8Array(1), 1024 ** 2 - 1), { code: 'READ_ONLY' });
  await guarded.write(new Uint8Array(1), 1024 ** 2);
});
