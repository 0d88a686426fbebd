import { MemoryStorage, TableCache, TableLocks } from '@lamella/core';
import { FaultyStorage, TracingStorage } from '@lamella/driver-testkit';
import fc from 'fast-check';
import t from 'tap';

const SLICE = 512;

function slow(): TracingStorage {
  return new TracingStorage(new MemoryStorage(), { delay: () => 2 });
}

t.test('a miss is read once however many wait for it', async (t) => {
  const storage = slow();
  const cache = new TableCache(storage, { sliceSize: SLICE, maxBytes: 16 * SLICE });
  const slices = await Promise.all(Array.from({ length: 10 }, () => cache.load(SLICE)));
  t.equal(storage.count('read'), 1);
  t.equal(new Set(slices).size, 1);
  t.ok(cache.get(SLICE));
});

t.test('memory stays within the bound, and used slices stay longest', async (t) => {
  const cache = new TableCache(new MemoryStorage(), { sliceSize: SLICE, maxBytes: 8 * SLICE });
  for (let i = 0; i < 1000; i += 1) {
    await cache.load(i * SLICE);
    cache.get(0);
    t.ok(cache.heldBytes <= 8 * SLICE);
  }
  t.ok(cache.get(0), 'the slice that was used all the time');
});

t.test('lookups and changes go on while a slice is written back', async (t) => {
  const memory = new MemoryStorage();
  const storage = new TracingStorage(memory, { delay: () => 3 });
  const cache = new TableCache(storage, { sliceSize: SLICE, maxBytes: 8 * SLICE });
  const slice = cache.create(0);
  slice.view.setUint32(0, 1);
  const writing = cache.beginWriteBack().store();
  t.equal(cache.get(0), slice, 'still there');
  slice.view.setUint32(0, 2);
  cache.markDirty(slice);
  await writing;
  const onDisk = new Uint8Array(4);
  memory.read(onDisk, 0);
  t.same([...onDisk], [0, 0, 0, 1], 'what was there when the write-back began');
  t.equal(cache.dirtyBytes, SLICE, 'the later change is still to be written');
  await cache.beginWriteBack().store();
  memory.read(onDisk, 0);
  t.same([...onDisk], [0, 0, 0, 2]);
});

t.test('dirty slices are not evicted and a failed write-back keeps them dirty', async (t) => {
  const storage = new FaultyStorage(new MemoryStorage());
  const cache = new TableCache(storage, { sliceSize: SLICE, maxBytes: 4 * SLICE });
  cache.create(0).view.setUint32(0, 7);
  storage.fails = ({ method }) => method === 'write';
  await t.rejects(cache.beginWriteBack().store(), { code: 'IO_ERROR' });
  t.equal(cache.dirtyBytes, SLICE);
  storage.fails = () => false;
  for (let i = 1; i < 100; i += 1) {
    await cache.load(i * SLICE);
  }
  t.equal(cache.get(0)?.view.getUint32(0), 7);
  t.notOk(cache.overfull);
  cache.create(1000 * SLICE);
  t.ok(cache.overfull, 'half of the cache is dirty');
});

t.test('neighbours are written in one I/O', async (t) => {
  const storage = new TracingStorage(new MemoryStorage());
  const cache = new TableCache(storage, { sliceSize: SLICE, maxBytes: 64 * SLICE });
  for (const index of [3, 1, 2, 7]) {
    cache.create(index * SLICE);
  }
  await cache.beginWriteBack().store();
  t.same(
    storage.trace
      .filter(({ phase }) => phase === 'begin')
      .map(({ offset, length }) => [offset, length]),
    [
      [SLICE, 3 * SLICE],
      [7 * SLICE, SLICE],
    ],
  );
});

t.test('a read that was under way does not bring back a forgotten table', async (t) => {
  const memory = new MemoryStorage();
  const cache = new TableCache(new TracingStorage(memory, { delay: () => 3 }), {
    sliceSize: SLICE,
    maxBytes: 8 * SLICE,
  });
  const loading = cache.load(0);
  cache.forget(0, SLICE);
  const fresh = cache.create(0);
  fresh.view.setUint32(0, 5);
  t.equal(await loading, fresh);
});

t.test('a table lock is exclusive for its table only', async (t) => {
  const locks = new TableLocks();
  const order: string[] = [];
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await Promise.all([
    locks.exclusive(1, async () => {
      t.ok(locks.isLocked(1));
      order.push('a begins');
      await turn();
      await turn();
      order.push('a ends');
    }),
    locks.exclusive(1, async () => {
      order.push('b');
    }),
    locks.exclusive(2, async () => {
      order.push('c');
    }),
  ]);
  t.ok(order.indexOf('c') < order.indexOf('a ends'));
  t.ok(order.indexOf('b') > order.indexOf('a ends'));
  t.notOk(locks.isLocked(1));
});

t.test('what was written stays in the cache until its flush succeeded', async (t) => {
  const storage = new FaultyStorage(new MemoryStorage());
  const cache = new TableCache(storage, { sliceSize: SLICE, maxBytes: 4 * SLICE });
  cache.create(0).view.setUint32(0, 7);
  const first = cache.beginWriteBack();
  await first.write();
  for (let i = 1; i < 100; i += 1) {
    await cache.load(i * SLICE);
  }
  first.cancel();
  t.equal(cache.dirtyBytes, SLICE, 'to be written once more, because the flush failed');
  t.equal(cache.get(0)?.view.getUint32(0), 7);
  const second = cache.beginWriteBack();
  await second.write();
  second.confirm();
  second.cancel();
  t.equal(cache.dirtyBytes, 0, 'nothing undoes a confirmation');
});

t.test('whoever waited finds the slice as it is, however many others evict it', async (t) => {
  const COUNT = 4000;
  const memory = new MemoryStorage();
  const numbers = new Uint8Array(COUNT * SLICE);
  const view = new DataView(numbers.buffer);
  for (let i = 0; i < COUNT; i += 1) {
    view.setUint32(i * SLICE, i);
    view.setUint32((i + 1) * SLICE - 4, i);
  }
  memory.write(numbers, 0);
  for (const delay of [undefined, () => 1, (_call: unknown, id: number) => id % 3]) {
    const storage = delay === undefined ? memory : new TracingStorage(memory, { delay });
    const cache = new TableCache(storage, { sliceSize: SLICE, maxBytes: 8 * SLICE });
    const handedOn = async (i: number) => cache.load(i * SLICE);
    let wrong = 0;
    const lane = async (first: number): Promise<void> => {
      for (let i = first; i < COUNT; i += 500) {
        const slice = await handedOn(i);
        wrong += slice.view.getUint32(0) === i && slice.view.getUint32(SLICE - 4) === i ? 0 : 1;
      }
    };
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 500 }, (_, first) => lane(first)));
    }
    t.equal(wrong, 0);
  }
});

t.test('a cache shows what was written last, whatever leaves it and comes back', async (t) => {
  const COUNT = 64;
  const step = fc.record({
    action: fc.constantFrom('read', 'read', 'change', 'create', 'forget', 'store'),
    slice: fc.nat(COUNT - 1),
    value: fc.integer({ min: 1, max: 255 }),
  });
  const seed = Date.now() % 2 ** 31;
  t.comment(`seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 400 }), async (steps) => {
      const memory = MemoryStorage.from(new Uint8Array(COUNT * SLICE));
      const cache = new TableCache(memory, { sliceSize: SLICE, maxBytes: 4 * SLICE });
      const [stored, seen] = [new Uint8Array(COUNT), new Uint8Array(COUNT)];
      for (const { action, slice, value } of steps) {
        const offset = slice * SLICE;
        if (action === 'store') {
          await cache.beginWriteBack().store();
          stored.set(seen);
        } else if (action === 'forget') {
          cache.forget(offset, SLICE);
          seen[slice] = stored[slice] ?? 0;
        } else if (action === 'create') {
          cache.create(offset).view.setUint8(7, value);
          seen[slice] = value;
        } else {
          const found = await cache.load(offset);
          if (found.view.getUint8(7) !== seen[slice]) {
            throw new Error(`slice ${slice} is ${found.view.getUint8(7)}, not ${seen[slice]}`);
          }
          if (action === 'change') {
            found.view.setUint8(7, value);
            cache.markDirty(found);
            seen[slice] = value;
          }
        }
      }
    }),
    { seed, numRuns: 300 },
  );
});
