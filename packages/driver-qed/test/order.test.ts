import { MemoryStorage } from '@lamella/core';
import { CrashStorage, TracingStorage } from '@lamella/driver-testkit';
import t from 'tap';
import {
  bytesOf,
  create,
  inspect,
  MIB,
  openDisk,
  openWritable,
  pattern,
  randoms,
  sameBytes,
} from './helpers.js';

async function emptyImage(size: number): Promise<Uint8Array> {
  const storage = new MemoryStorage();
  await create(storage, size);
  return bytesOf(storage);
}

t.test('the need-check mark is durable before anything else is written', async (t) => {
  const storage = CrashStorage.from(await emptyImage(8 * MIB));
  const disk = await openDisk(storage);
  t.equal(storage.changes, 0, 'opening writes nothing');
  await Promise.all([0, 1, 2, 3].map((i) => disk.write(pattern(i, 5000), i * MIB)));
  t.equal(storage.flushes[0], 1, 'one write before the first flush');
  t.match(await inspect(storage.afterChanges(1, () => false)), {
    needCheck: true,
    problems: [],
    leaks: 0,
  });
  t.equal(storage.flushes.length, 1, 'one mark for all');
  await disk.write(pattern(4, 4096), 5 * MIB);
  t.equal(storage.flushes.length, 1, 'and for all that follow');
  await disk.close();
  t.match(await inspect(storage), { needCheck: false, problems: [], leaks: 0 });
});

t.test('flush: data, then L2, then L1', async (t) => {
  const storage = new TracingStorage(MemoryStorage.from(await emptyImage(8 * MIB)));
  const disk = await openDisk(storage);
  await disk.write(pattern(1, 4096), 0);
  storage.trace.length = 0;
  await disk.flush();
  const calls = () =>
    storage.trace
      .filter(({ phase }) => phase === 'begin')
      .map(({ method, offset }) => (method === 'flush' ? method : `${method} ${offset}`));
  t.same(calls(), ['flush', 'write 12288', 'flush', 'write 4096', 'flush']);
  storage.trace.length = 0;
  await disk.flush();
  t.same(calls(), ['flush'], 'nothing changed: one flush of the storage');
  await disk.write(pattern(2, 4096), 4096);
  storage.trace.length = 0;
  await disk.flush();
  t.same(calls(), ['flush', 'write 12288', 'flush'], 'only L2 changed');
  await disk.close();
});

t.test('who asks for a flush during one gets the next, together', async (t) => {
  const storage = new TracingStorage(MemoryStorage.from(await emptyImage(8 * MIB)), {
    delay: (call) => (call.method === 'flush' ? 2 : 0),
  });
  const image = await openWritable(storage);
  const first = image.flush();
  const second = image.flush();
  const third = image.flush();
  t.not(first, second);
  t.equal(second, third);
  await Promise.all([first, second, third]);
  t.equal(storage.count('flush'), 2);
  t.equal(storage.mostAtOnce('flush'), 1);
  await image.close();
});

t.test('whatever a crash leaves is consistent, and flushed data is there', async (t) => {
  const random = randoms(7);
  const storage = CrashStorage.from(await emptyImage(8 * MIB));
  const disk = await openDisk(storage);
  const written: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  const promised: { readonly durable: number; readonly count: number }[] = [];
  const touched = new Set<number>();
  for (let round = 0; round < 12; round += 1) {
    const writes: Promise<void>[] = [];
    for (let i = 0; i < 5; i += 1) {
      // Each cluster once: what a crash leaves of an overwritten one is anybody's guess.
      const cluster = Math.floor(random() * 2046);
      if (![0, 1, 2].some((n) => touched.has(cluster + n))) {
        [0, 1, 2].forEach((n) => {
          touched.add(cluster + n);
        });
        const bytes = pattern(round * 5 + i, 4096 + Math.floor(random() * 4096));
        const offset = cluster * 4096 + Math.floor(random() * 4000);
        written.push({ offset, bytes });
        writes.push(disk.write(bytes, offset));
      }
    }
    await Promise.all(writes);
    if (round % 3 === 2) {
      await disk.flush();
      promised.push({ durable: storage.flushes.at(-1) ?? 0, count: written.length });
    }
  }
  const beforeClose = storage.changes;
  await disk.close();
  t.match(await inspect(storage), { needCheck: false, problems: [], leaks: 0 });
  const points = [0, ...storage.flushes];
  for (const durable of points) {
    const next = points.find((point) => point > durable) ?? storage.changes;
    for (let attempt = 0; attempt < 4; attempt += 1) {
      const chance = [0, 1, 0.5, 0.8][attempt] ?? 0;
      const state = storage.afterChanges(durable, (index) => index < next && random() < chance);
      const found = await inspect(state);
      if (found.problems.length > 0) {
        t.fail(`after ${durable} durable changes: ${found.problems.join('; ')}`);
      }
      if (!found.needCheck && durable > 0 && next <= beforeClose && found.leaks > 0) {
        t.fail('leaks without the need-check mark');
      }
      const reopened = await openDisk(state);
      const promise = promised.filter((each) => each.durable <= durable).at(-1);
      for (const { offset, bytes } of written.slice(0, promise?.count ?? 0)) {
        const found = new Uint8Array(bytes.length);
        await reopened.read(found, offset);
        if (!sameBytes(found, bytes)) {
          t.fail(`flushed data at ${offset} is lost after ${durable} durable changes`);
        }
      }
      await reopened.close();
      t.match(await inspect(state), { problems: [], leaks: 0, needCheck: false });
    }
  }
});

t.test('the mark is cleared after everything else is durable', async (t) => {
  const storage = CrashStorage.from(await emptyImage(8 * MIB));
  const disk = await openDisk(storage);
  await disk.write(pattern(1, 100), 12345);
  await disk.close();
  const last = storage.changes - 1;
  const state = storage.afterChanges(last, () => false);
  t.match(await inspect(state), { needCheck: true, problems: [], leaks: 0 });
  t.ok(storage.flushes.includes(last));
  t.equal(storage.flushes.at(-1), storage.changes);
  const clean = new Uint8Array(100);
  const reopened = await openDisk(state, false);
  await reopened.read(clean, 12345);
  t.ok(sameBytes(clean, pattern(1, 100)));
  await reopened.close();
});
