import { readFileSync, writeFileSync } from 'node:fs';
import { copyBytes, MemoryStorage } from '@lamella/core';
import { FileStorageDriver, nativeCalls } from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import t from 'tap';
import { fails, HELPERS, pattern } from './helpers.js';

for (const [name, native] of HELPERS) {
  t.test(name, async (t) => {
    const at = paths(t);
    const content = pattern(3_000_000);
    writeFileSync(at('source'), content);
    const driver = new FileStorageDriver(native);
    for (const cache of ['writeback', 'writethrough'] as const) {
      const source = await driver.open(at('source'), { writable: false });
      writeFileSync(at('target'), new Uint8Array(1000).fill(3));
      const target = await driver.open(at('target'), { writable: true, cache });
      await copyBytes(source, 123, target, 777, 2_500_000);
      t.equal(target.size, 2_500_777);
      const written = readFileSync(at('target'));
      t.equal(written.length, 2_500_777);
      t.ok(written.subarray(0, 777).every((byte) => byte === 3));
      t.equal(Buffer.compare(written.subarray(777), content.subarray(123, 2_500_123)), 0);

      await copyBytes(source, 2_999_990, target, 0, 100);
      const end = readFileSync(at('target')).subarray(0, 100);
      t.strictSame(end.subarray(0, 10), Buffer.from(content.subarray(2_999_990)));
      t.ok(
        end.subarray(10).every((byte) => byte === 0),
        'past the end there are zeroes',
      );

      await copyBytes(target, 777, target, 2_600_000, 1000);
      const inside = readFileSync(at('target')).subarray(2_600_000);
      t.equal(Buffer.compare(inside, content.subarray(123, 1123)), 0, 'within one file');
      await copyBytes(source, 0, target, 0, 0);

      const memory = new MemoryStorage();
      await copyBytes(source, 5, memory, 6, 1_500_000);
      const back = new Uint8Array(1_500_000);
      memory.read(back, 6);
      t.equal(Buffer.compare(back, content.subarray(5, 1_500_005)), 0, 'into memory');
      await copyBytes(memory, 6, target, 0, 1_500_000);
      t.equal(Buffer.compare(readFileSync(at('target')).subarray(0, 1_500_000), back), 0);
      await source.close();
      await fails(t, 'CLOSED', () => copyBytes(source, 0, target, 0, 10));
      await target.close();
      await fails(t, 'CLOSED', () => copyBytes(memory, 0, target, 0, 10));
    }
  });
}

t.test('the kernel copies where it can', async (t) => {
  const at = paths(t);
  writeFileSync(at('source'), pattern(100_000));
  const { copyFileRange } = nativeCalls();
  const EXDEV = -18;
  const EIO = -5;
  for (const answer of [undefined, EXDEV, EIO]) {
    let calls = 0;
    const driver = new FileStorageDriver({
      copyFileRange: async (...args) => {
        calls += 1;
        return answer ?? copyFileRange?.(...args) ?? EXDEV;
      },
    });
    const source = await driver.open(at('source'), { writable: false });
    const target = await driver.create(at('target'), { overwrite: true });
    if (answer === EIO) {
      await fails(t, 'IO_ERROR', () => copyBytes(source, 0, target, 0, 100_000));
    } else {
      await copyBytes(source, 0, target, 0, 100_000);
      t.equal(Buffer.compare(readFileSync(at('target')), pattern(100_000)), 0);
    }
    t.ok(calls > 0);
    await source.close();
    await target.close();
  }
});
