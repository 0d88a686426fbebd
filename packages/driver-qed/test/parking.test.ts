import { type Extent, LamellaError, MemoryStorage, type StorageExtent } from '@lamella/core';
import { CrashStorage, WrappedStorage } from '@lamella/driver-testkit';
import t from 'tap';
import {
  bytesOf,
  create,
  driver,
  inspect,
  MIB,
  openDisk,
  openReadOnly,
  pattern,
  randoms,
  readAll,
  sameBytes,
} from './helpers.js';

const CLUSTER = 4096;

interface Leaky {
  readonly size?: number;
  readonly clusters?: number;
  readonly tableSize?: number;
  /** Neighbouring clusters that are leaked, and as many that are kept. */
  readonly run?: number;
  readonly needCheck?: boolean;
}

/** An image of whose clusters every other run is not referred to any more. */
async function leaky(options: Leaky = {}): Promise<Uint8Array> {
  const { size = 3 * MIB, clusters = 100, tableSize = 4, run = 1, needCheck = true } = options;
  const storage = new MemoryStorage();
  await create(storage, size, { table_size: tableSize });
  const disk = await openDisk(storage);
  await disk.write(pattern(1, clusters * CLUSTER), 0);
  await disk.close();
  const bytes = await bytesOf(storage);
  const view = new DataView(bytes.buffer);
  const table = view.getUint32(view.getUint32(40, true), true);
  for (let cluster = 0; cluster + run < clusters; cluster += 1) {
    if (Math.floor(cluster / run) % 2 === 0) {
      view.setBigUint64(table + cluster * 8, 0n, true);
    }
  }
  view.setUint32(16, needCheck ? 2 : 0, true);
  return bytes;
}

async function openAndClose(storage: MemoryStorage): Promise<void> {
  await (await openDisk(storage)).close();
}

/** The same for an image alone, without what is below it. */
async function openAndCloseImage(storage: MemoryStorage): Promise<void> {
  await (await driver.open(storage, { writable: true })).close();
}

/** What the guest sees. */
async function contentOf(storage: MemoryStorage): Promise<Uint8Array> {
  const disk = await openDisk(storage, false);
  const content = await readAll(disk);
  await disk.close();
  return content;
}

/** What each of the guest's clusters is. */
async function kindsOf(storage: MemoryStorage): Promise<readonly Extent['kind'][]> {
  const image = await openReadOnly(storage);
  const kinds: Extent['kind'][] = [];
  for (let offset = 0; offset < image.size; offset += CLUSTER) {
    kinds.push((await image.map(offset, Math.min(CLUSTER, image.size - offset))).kind);
  }
  await image.close();
  return kinds;
}

for (const [name, options] of Object.entries({
  'single clusters, within a table': {},
  'long runs': { run: 10 },
  'a disk that ends with a table': { size: 8 * MIB },
  'a disk that ends with a table, long runs': { size: 8 * MIB, run: 10 },
  'a disk of no whole clusters': { size: 3 * MIB + 512 },
  'tables of one cluster': { size: 2 * MIB, tableSize: 1 },
} satisfies Record<string, Leaky>)) {
  t.test(`no leaks after a writable open: ${name}`, async (t) => {
    const before = MemoryStorage.from(await leaky(options));
    const { leaks } = await inspect(before);
    t.ok(leaks >= 40);
    const after = MemoryStorage.from(await bytesOf(before));
    await openAndClose(after);
    t.match(await inspect(after), { leaks: 0, problems: [], needCheck: false });
    t.same(await kindsOf(after), await kindsOf(before), 'the disk is allocated as before');
    t.ok(sameBytes(await contentOf(after), await contentOf(before)), 'and reads as before');
    const { tableSize = 4 } = options as Leaky;
    t.ok(after.size <= before.size + tableSize * CLUSTER, 'the file grew by one table at most');
    const { size } = after;
    await openAndClose(after);
    t.equal(after.size, size, 'a clean image stays as it is');
  });
}

t.test('parked clusters are used again once tables are read', async (t) => {
  for (const mark of [true, false]) {
    const storage = MemoryStorage.from(await leaky());
    await openAndClose(storage);
    const { size } = storage;
    if (mark) {
      storage.write(Uint8Array.of(2), 16);
    }
    const image = await driver.open(storage, { writable: true, options: { reclaim: !mark } });
    await image.close();
    t.match(await inspect(storage), { leaks: 0, problems: [], needCheck: false });
    t.equal(storage.size, size, 'parked again, in as much space');
    storage.write(Uint8Array.of(2), 16);
    const disk = await openDisk(storage);
    await disk.write(pattern(2, 50 * CLUSTER), 2 * MIB);
    await disk.close();
    t.match(await inspect(storage), { leaks: 0, problems: [], needCheck: false });
    t.equal(storage.size, size, 'or taken by a write');
  }
});

t.test('growing the disk over parked clusters shows zeroes', async (t) => {
  const storage = MemoryStorage.from(await leaky());
  await openAndClose(storage);
  const disk = await openDisk(storage);
  const old = await readAll(disk);
  await disk.resize(6 * MIB);
  const grown = await readAll(disk);
  t.ok(sameBytes(grown.subarray(0, old.length), old));
  t.ok(sameBytes(grown.subarray(old.length), new Uint8Array(3 * MIB)));
  await disk.write(pattern(3, 3 * MIB), 3 * MIB);
  await disk.close();
  t.match(await inspect(storage), { leaks: 0, problems: [], needCheck: false });
  const content = await contentOf(storage);
  t.ok(sameBytes(content.subarray(3 * MIB), pattern(3, 3 * MIB)));
  t.ok(sameBytes(content.subarray(0, 3 * MIB), old));
});

t.test('what shows a backing file goes on showing it', async (t) => {
  const storage = MemoryStorage.from(await leaky());
  const image = await driver.open(storage, { writable: true, forCheck: true });
  await image.check({});
  await image.setBacking({ location: 'base.raw', format: 'raw' });
  await image.close();
  await storage.write(Uint8Array.of(2 | 1 | 4), 16);
  const before = await kindsOf(storage);
  t.ok(before.includes('unallocated'));
  await openAndCloseImage(storage);
  t.match(await inspect(storage), { leaks: 0, problems: [], needCheck: false });
  t.same(await kindsOf(storage), before);
});

t.test('a check alone parks nothing', async (t) => {
  const storage = MemoryStorage.from(await leaky());
  const image = await driver.open(storage, { writable: true, forCheck: true });
  t.match(await image.check({ repair: 'all' }), { leaks: 50, leaksFixed: 0 });
  await image.close();
  t.match(await inspect(storage), { leaks: 50, problems: [], needCheck: false });
});

t.test('a full L1 table has no room: leaks stay, and are reported', async (t) => {
  const storage = MemoryStorage.from(await leaky({ size: 1024 * MIB, tableSize: 1 }));
  await openAndClose(storage);
  t.match(await inspect(storage), { problems: [], needCheck: false });
  t.ok((await inspect(storage)).leaks > 0);
});

/** A storage that can't give space back. */
class Solid extends WrappedStorage {
  written = 0;

  override writeZeroes(offset: number, length: number): void | Promise<void> {
    this.written += length;
    return this.inner.writeZeroes(offset, length) as void | Promise<void>;
  }

  override map(_offset: number, length: number): StorageExtent {
    return { kind: 'data', length };
  }

  override async close(): Promise<void> {}
}

t.test('one close does a bounded amount of work; the mark tells that there is more', async (t) => {
  // 300 MiB of leaks, behind which one cluster is in use.
  const memory = new MemoryStorage();
  const cluster = MIB;
  await driver.create(memory, {
    size: 1024 * MIB,
    options: { cluster_size: cluster, table_size: 1 },
  });
  const writer = await openDisk(memory);
  for (let index = 0; index < 301; index += 1) {
    await writer.write(pattern(index, 1), index * cluster);
  }
  await writer.close();
  const field = new Uint8Array(8);
  const l1 = cluster;
  await memory.read(field, l1);
  const table = new DataView(field.buffer).getUint32(0, true);
  await memory.write(new Uint8Array(8 * 300), table);
  await memory.write(Uint8Array.of(2), 16);
  const leaks = async () => (await (await openReadOnly(memory)).check({})).leaks;
  t.equal(await leaks(), 300);
  const open = async () => {
    const storage = new Solid(memory);
    await (await driver.open(storage, { writable: true })).close();
    t.ok(storage.written <= 257 * MIB, `${storage.written} bytes of zeroes`);
    return (await openReadOnly(memory)).options.need_check === true;
  };
  t.equal(await open(), true);
  const left = await leaks();
  t.ok(left > 0 && left < 100, `${left} are left for the next time`);
  t.equal(await open(), false);
  t.equal(await leaks(), 0);
});

t.test('no space for a table: the image stays marked, and nothing is lost', async (t) => {
  const bytes = await leaky({ size: 8 * MIB });
  class Full extends WrappedStorage {
    override truncate(size: number): void | Promise<void> {
      if (size > bytes.length) {
        throw new LamellaError('NO_SPACE', 'no space left');
      }
      return this.inner.truncate(size) as void | Promise<void>;
    }
    override async close(): Promise<void> {}
  }
  const memory = MemoryStorage.from(bytes);
  const image = await driver.open(new Full(memory), { writable: true });
  await image.close();
  t.match(await inspect(memory), { leaks: 50, problems: [], needCheck: true });
});

t.test(
  'whatever survives a crash, nothing is lost and the next close leaves no leaks',
  async (t) => {
    const random = randoms(11);
    for (const options of [
      {},
      { size: 8 * MIB },
      { size: 8 * MIB, run: 10 },
      { size: 2 * MIB, tableSize: 1 },
    ] satisfies Leaky[]) {
      const parked = MemoryStorage.from(await leaky(options));
      const content = await contentOf(parked);
      await openAndClose(parked);
      await parked.write(Uint8Array.of(2), 16);
      for (const start of [await leaky(options), await bytesOf(parked)]) {
        const storage = CrashStorage.from(start);
        const disk = await openDisk(storage);
        const added = pattern(9, 20 * CLUSTER);
        const at = 1.5 * MIB;
        await disk.write(added.subarray(0, 10 * CLUSTER), at);
        await disk.flush();
        const promised = storage.changes;
        await disk.write(added.subarray(10 * CLUSTER), at + 10 * CLUSTER);
        await disk.close();
        t.match(await inspect(storage), { leaks: 0, problems: [], needCheck: false });
        for (let durable = 0; durable <= storage.changes; durable += 1) {
          const flushed = storage.flushes.filter((flush) => flush <= durable).at(-1) ?? 0;
          const next = storage.flushes.find((flush) => flush > durable) ?? storage.changes;
          for (const chance of [0, 0.5]) {
            // Either a moment between two changes, or any choice of those since the last flush.
            const state =
              chance === 0
                ? storage.afterChanges(durable, () => false)
                : storage.afterChanges(flushed, (index) => index < next && random() < chance);
            const found = await inspect(state);
            if (found.problems.length > 0 || (found.leaks > 0 && !found.needCheck)) {
              t.fail(
                `after ${durable} changes: ${found.problems.join('; ')}, ${found.leaks} leaks`,
              );
            }
            await openAndClose(state);
            const mended = await inspect(state);
            if (mended.problems.length > 0 || mended.leaks > 0 || mended.needCheck) {
              t.fail(`after ${durable} changes and an open: ${JSON.stringify(mended)}`);
            }
            const now = await contentOf(state);
            const kept = sameBytes(now.subarray(0, at), content.subarray(0, at));
            const first = now.subarray(at, at + 10 * CLUSTER);
            const there = flushed < promised || sameBytes(first, added.subarray(0, 10 * CLUSTER));
            if (!kept || !there) {
              t.fail(`after ${durable} changes: content is lost`);
            }
          }
        }
      }
    }
  },
);
