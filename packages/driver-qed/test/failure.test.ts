import { type Disk, MemoryStorage } from '@lamella/core';
import { FaultyStorage, type StorageCall } from '@lamella/driver-testkit';
import t from 'tap';
import {
  bytesOf,
  create,
  driver,
  inspect,
  MIB,
  openDisk,
  openWritable,
  pattern,
  readAll,
  sameBytes,
} from './helpers.js';

interface Subject {
  readonly storage: FaultyStorage;
  readonly disk: Disk;
}

async function subject(): Promise<Subject> {
  const storage = new FaultyStorage(new MemoryStorage());
  await create(storage, 8 * MIB);
  return { storage, disk: await openDisk(storage) };
}

t.test('a failed data write leaves the cluster unallocated', async (t) => {
  const { storage, disk } = await subject();
  await disk.write(pattern(1, 4096), 0);
  storage.fails = ({ method, length }) => method === 'write' && length === 4096;
  await t.rejects(disk.write(pattern(2, 4096), 4096), { code: 'IO_ERROR' });
  await t.rejects(disk.write(pattern(2, 4096), 4 * MIB), { code: 'IO_ERROR' });
  storage.fails = () => false;
  const content = new Uint8Array(8 * MIB);
  content.set(pattern(1, 4096));
  t.ok(sameBytes(await readAll(disk), content));
  await disk.close();
  t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false });
});

t.test('every single call may fail once', async (t) => {
  for (let victim = 0; victim < 40; victim += 1) {
    const { storage, disk } = await subject();
    const content = new Uint8Array(8 * MIB);
    let calls = 0;
    storage.fails = () => {
      calls += 1;
      return calls === victim + 1;
    };
    let failures = 0;
    const attempt = async (action: () => Promise<void>) => {
      try {
        await action();
      } catch {
        failures += 1;
        await action();
      }
    };
    for (let i = 0; i < 4; i += 1) {
      content.set(pattern(i, 6000), i * 2_200_000);
      await attempt(() => disk.write(pattern(i, 6000), i * 2_200_000));
      if (i % 2 === 1) {
        await attempt(() => disk.flush());
      }
    }
    await attempt(() => disk.writeZeroes(3 * MIB, MIB));
    const happened = failures;
    await disk.close().catch(() => {
      failures += 1;
    });
    storage.fails = () => false;
    t.match((await inspect(storage)).problems, [], `call ${victim} failed`);
    const again = await openDisk(storage);
    if (failures === happened) {
      t.ok(sameBytes(await readAll(again), content), `content after call ${victim} failed`);
    }
    await again.close();
    t.match(await inspect(storage), { problems: [], needCheck: false });
  }
});

t.test('a lost flush keeps the need-check mark', async (t) => {
  const { storage, disk } = await subject();
  await disk.write(pattern(1, 4096), 0);
  let flushes = 0;
  storage.fails = ({ method }) => {
    flushes += method === 'flush' ? 1 : 0;
    return method === 'flush' && flushes === 2;
  };
  await t.rejects(disk.flush(), { code: 'IO_ERROR' });
  await disk.close();
  t.match(await inspect(storage), { problems: [], needCheck: true });
});

t.test('failed table writes are tried again', async (t) => {
  const { storage, disk } = await subject();
  await disk.write(pattern(1, 4096), 0);
  for (const offset of [12288, 4096]) {
    storage.fails = (call: StorageCall) => call.method === 'write' && call.offset === offset;
    await t.rejects(disk.flush(), { code: 'IO_ERROR' });
  }
  storage.fails = () => false;
  await disk.close();
  t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false });
  const again = await openDisk(storage, false);
  t.ok(sameBytes((await readAll(again)).subarray(0, 4096), pattern(1, 4096)));
  await again.close();
});

t.test('no space: every waiting write fails, and the image goes on', async (t) => {
  const { storage, disk } = await subject();
  await disk.write(pattern(1, 4096), 0);
  storage.fails = ({ method }) => method === 'truncate';
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) => disk.write(pattern(i, 4096), (i + 10) * 4096)),
  );
  const failed = results.filter(({ status }) => status === 'rejected').length;
  t.ok(failed > 0 && failed < 100, `${failed} writes failed`);
  storage.fails = () => false;
  await disk.write(pattern(2, 4096 * 100), MIB);
  await disk.close();
  t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false });
});

t.test('the mark cannot be set: nothing is written', async (t) => {
  const { storage, disk } = await subject();
  const before = await bytesOf(storage);
  storage.fails = ({ method }) => method === 'write';
  await t.rejects(disk.write(pattern(1, 4096), 0), { code: 'IO_ERROR' });
  t.ok(sameBytes(await bytesOf(storage), before));
  storage.fails = () => false;
  await disk.write(pattern(1, 4096), 0);
  await disk.close();
  t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false });
});

async function unclean(change: (view: DataView, table: number) => void): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  await create(storage, 8 * MIB);
  const disk = await openDisk(storage);
  await disk.write(pattern(1, 4096 * 4), 0);
  await disk.write(pattern(2, 4096), 4 * MIB);
  await disk.close();
  const bytes = await bytesOf(storage);
  const view = new DataView(bytes.buffer);
  view.setUint32(16, view.getUint32(16, true) | 2, true);
  change(view, view.getUint32(4096, true));
  return MemoryStorage.from(bytes, { location: 'unclean.qed' });
}

t.test('unclean: bad entries are cleared, with a warning', async (t) => {
  const warnings: string[] = [];
  const { QedDriver } = await import('@lamella/driver-qed');
  const logging = new QedDriver({ warn: (message) => warnings.push(message) });
  const storage = await unclean((view, table) => {
    view.setUint32(table, 1 << 30, true);
    view.setUint32(table + 8, 4097, true);
    view.setUint32(4096 + 8 * 511, 1 << 29, true);
  });
  const image = await logging.open(storage, { writable: true });
  t.match(warnings, [/unclean\.qed: was not closed cleanly; cleared 3/]);
  t.equal((await image.map(0, 8192)).kind, 'unallocated');
  t.equal((await image.map(8192, 4096)).kind, 'data');
  await image.close();
  t.match(await inspect(storage), { problems: [], needCheck: false, leaks: 2 });
});

t.test('unclean: shared clusters are not repaired, and nothing is written', async (t) => {
  const storage = await unclean((view, table) => {
    view.setUint32(table, view.getUint32(table + 8, true), true);
    view.setUint32(table + 16, 4097, true);
  });
  const before = await bytesOf(storage);
  await t.rejects(openWritable(storage), { code: 'CORRUPT', location: 'unclean.qed' });
  t.ok(sameBytes(await bytesOf(storage), before));
  const readOnly = await driver.open(storage, { writable: false });
  t.equal(readOnly.options.need_check, true);
  await readOnly.close();
});

t.test('unclean: a shared table is a corruption too', async (t) => {
  const storage = await unclean((view, table) => view.setUint32(4096 + 8, table, true));
  await t.rejects(openWritable(storage), { code: 'CORRUPT' });
});

t.test('unclean: leaked clusters are used again, those at the end cut off', async (t) => {
  const storage = await unclean((view, table) => {
    view.setUint32(table + 8, 0, true);
    view.setUint32(table + 16, 0, true);
  });
  const size = storage.size;
  storage.write(pattern(3, 5 * 4096), size);
  const disk = await openDisk(storage);
  await disk.write(pattern(7, 100), MIB);
  await disk.write(pattern(8, 100), MIB + 4096);
  const content = new Uint8Array(200);
  await disk.read(content.subarray(0, 100), MIB);
  await disk.read(content.subarray(100), MIB + 100);
  t.ok(sameBytes(content.subarray(0, 100), pattern(7, 100)));
  t.ok(
    content.subarray(100).every((byte) => byte === 0),
    'used space does not show',
  );
  await disk.close();
  t.equal(storage.size, size, 'no growth');
  t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false });
});

t.test('a check of an open image mends what the cache still holds', async (t) => {
  const storage = await unclean((view, table) => {
    view.setUint32(16, 0, true);
    view.setUint32(table + 8, 4097, true);
  });
  const disk = await openDisk(storage);
  const bytes = new Uint8Array(4096);
  await t.rejects(disk.read(bytes, 4096), { code: 'CORRUPT' });
  t.match(await disk.check(), { corruptions: 1, corruptionsFixed: 0, leaks: 1 });
  await t.rejects(disk.read(bytes, 4096), { code: 'CORRUPT' });
  t.match(await disk.check({ repair: 'all' }), { corruptions: 0, corruptionsFixed: 1, leaks: 1 });
  await disk.read(bytes, 4096);
  t.ok(bytes.every((byte) => byte === 0));
  await disk.write(pattern(5, 4096), 4096);
  await disk.close();
  t.match(await inspect(storage), { problems: [], needCheck: false });
});

t.test('opened for a check, an unclean image takes no writes until it has passed', async (t) => {
  const storage = await unclean((view, table) => view.setUint32(table + 8, 4097, true));
  const image = await driver.open(storage, { writable: true, forCheck: true });
  t.throws(() => image.place(MIB, 4096), { code: 'CORRUPT' });
  t.match(await image.check({ repair: 'none' }), { corruptions: 1 });
  t.throws(() => image.place(MIB, 4096), { code: 'CORRUPT' });
  t.match(await image.check({ repair: 'leaks' }), { corruptions: 0, corruptionsFixed: 1 });
  t.match(await image.place(MIB, 4096), { kind: 'allocation' });
  await image.close();
  t.match(await inspect(storage), { needCheck: false, problems: [] });
});
