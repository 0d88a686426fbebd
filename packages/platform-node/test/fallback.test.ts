import { readFileSync, writeFileSync } from 'node:fs';
import type { NativeCalls } from '@lamella/platform-node';
import { FileStorageDriver, nativeCalls } from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import t from 'tap';
import { fails, pattern } from './helpers.js';

const EIO = -5;
const EAGAIN = -11;
const EINVAL = -22;
const ENOSPC = -28;
const EOPNOTSUPP = -95;
const PUNCH_HOLE = 2;

t.test('what the page cache lacks is read by the pool', async (t) => {
  const at = paths(t);
  const content = pattern(10_000);
  writeFileSync(at('file'), content);
  for (const answer of [EAGAIN, EIO, 0, 1, 4095]) {
    const storage = await new FileStorageDriver({
      readNow: (_fd, buffer, offset) => {
        const count = Math.max(0, answer);
        buffer.set(content.subarray(offset, offset + count));
        return answer;
      },
    }).open(at('file'), { writable: false });
    const buffer = new Uint8Array(4096);
    const reading = storage.read(buffer, 500);
    t.ok(reading instanceof Promise, 'waits');
    await reading;
    t.equal(Buffer.compare(buffer, content.subarray(500, 4596)), 0, `after ${answer}`);
    await storage.close();
  }
});

t.test('a system without RWF_NOWAIT is asked once', async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), pattern(10_000));
  for (const [answer, times] of [
    [EOPNOTSUPP, 1],
    [EINVAL, 1],
    [EAGAIN, 3],
  ] as const) {
    let asked = 0;
    const native: NativeCalls = {
      readNow: () => {
        asked += 1;
        return answer;
      },
    };
    const storage = await new FileStorageDriver(native).open(at('file'), { writable: false });
    for (let i = 0; i < 3; i += 1) {
      const buffer = new Uint8Array(100);
      await storage.read(buffer, 7);
      t.strictSame(buffer, pattern(10_000).slice(7, 107));
    }
    t.equal(asked, times);
    await storage.close();
  }
});

t.test('zeroes are written where space can not be given back', async (t) => {
  const at = paths(t);
  for (const answer of [EOPNOTSUPP, EINVAL]) {
    writeFileSync(at('file'), pattern(10_000));
    let asked = 0;
    const native: NativeCalls = {
      fallocate: async () => {
        asked += 1;
        return answer;
      },
    };
    const storage = await new FileStorageDriver(native).open(at('file'), { writable: true });
    await storage.writeZeroes(100, 200);
    await storage.writeZeroes(1000, 200, { unmap: false });
    await storage.discard(5000, 100);
    await storage.writeZeroes(9000, 5000);
    const expected = new Uint8Array(14_000);
    expected.set(pattern(10_000));
    expected.fill(0, 100, 300).fill(0, 1000, 1200).fill(0, 9000);
    t.equal(Buffer.compare(readFileSync(at('file')), expected), 0);
    t.equal(asked, answer === EOPNOTSUPP ? 2 : 4, 'asks again only if it may work elsewhere');
    await storage.close();
  }
});

t.test('other failures are reported', async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), pattern(100));
  const driver = new FileStorageDriver({ fallocate: async () => ENOSPC });
  const storage = await driver.open(at('file'), { writable: true });
  await fails(t, 'NO_SPACE', () => storage.writeZeroes(0, 50));
  await fails(t, 'NO_SPACE', () => storage.writeZeroes(0, 500));
  t.equal(storage.size, readFileSync(at('file')).length, 'size is true after a failure');
  await storage.close();
});

t.test('errors of asynchronous native calls are their own', async (t) => {
  const { fallocate, seek } = nativeCalls();
  if (fallocate === undefined || seek === undefined) {
    t.pass('no native helper here');
    return;
  }
  const EBADF = -9;
  const results = await Promise.all(
    Array.from({ length: 600 }, (_, i) => {
      seek(-1, 0, 0);
      return fallocate(i % 2 === 0 ? -1 : 0, PUNCH_HOLE, i % 2 === 0 ? 0 : -1, 1);
    }),
  );
  t.ok(results.every((result, i) => result === (i % 2 === 0 ? EBADF : EINVAL) || i % 2 === 1));
  t.ok(results.every((result) => result < 0));
});

t.test('LAMELLA_NATIVE=off switches the helper off', async (t) => {
  const before = process.env.LAMELLA_NATIVE;
  process.env.LAMELLA_NATIVE = 'off';
  t.teardown(() => {
    if (before === undefined) {
      delete process.env.LAMELLA_NATIVE;
    } else {
      process.env.LAMELLA_NATIVE = before;
    }
  });
  t.strictSame(nativeCalls(), {});
  const at = paths(t);
  writeFileSync(at('file'), pattern(100));
  const storage = await new FileStorageDriver().open(at('file'), { writable: false });
  const buffer = new Uint8Array(10);
  t.ok(storage.read(buffer, 0) instanceof Promise);
  await storage.close();
  t.strictSame(buffer, pattern(10));
});

t.test('cached reads need no promise', async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), pattern(100_000));
  const storage = await new FileStorageDriver().open(at('file'), { writable: false });
  const buffer = new Uint8Array(4096);
  await storage.read(buffer, 0);
  const first = storage.read(buffer, 0);
  if (nativeCalls().readNow === undefined) {
    t.pass('no native helper here');
  } else if (first !== undefined) {
    t.pass('this file system does not know RWF_NOWAIT');
  } else {
    t.equal(storage.read(buffer, 95_904), undefined, 'up to the end');
    t.equal(storage.read(buffer, 98_000), undefined, 'across the end');
    t.equal(storage.read(buffer, 200_000), undefined, 'past the end');
  }
  await first;
  await storage.close();
});
