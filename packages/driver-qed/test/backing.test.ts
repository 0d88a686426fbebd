import { MemoryStorage, type Reference } from '@lamella/core';
import { CrashStorage } from '@lamella/driver-testkit';
import t from 'tap';
import {
  bytesOf,
  create,
  driver,
  inspect,
  MIB,
  openDisk,
  openReadOnly,
  openWritable,
  pattern,
  readAll,
  sameBytes,
} from './helpers.js';

const NAMES: readonly (Reference | undefined)[] = [
  { location: 'base.raw', format: 'raw' },
  { location: 'a'.repeat(1023), format: undefined },
  { location: 'ü/ä.qcow2', format: undefined },
  undefined,
  { location: 'b'.repeat(1023), format: 'raw' },
  { location: 'c', format: 'raw' },
];

t.test('a crash leaves the old name or the new one', async (t) => {
  const fresh = new MemoryStorage();
  await create(fresh, 8 * MIB);
  let bytes = await bytesOf(fresh);
  let before: Reference | undefined;
  for (const after of NAMES) {
    const storage = CrashStorage.from(bytes);
    const image = await openWritable(storage);
    await image.setBacking(after);
    t.same(image.references.backing, after);
    t.equal(storage.flushes.at(-1), storage.changes, 'durable');
    await image.close();
    for (const durable of [0, ...storage.flushes]) {
      for (const survives of [() => true, () => false]) {
        const state = storage.afterChanges(durable, (index) => index <= durable && survives());
        const found = (await openReadOnly(state)).references.backing;
        if (JSON.stringify(found) !== JSON.stringify(after)) {
          t.same(found, before, `after ${durable} durable changes`);
        }
      }
    }
    bytes = await bytesOf(storage);
    const reopened = await openReadOnly(MemoryStorage.from(bytes));
    t.same(reopened.references.backing, after);
    before = after;
  }
});

t.test('renaming leaves everything else', async (t) => {
  const storage = new MemoryStorage();
  await create(storage, 8 * MIB);
  const header = new DataView(new ArrayBuffer(8));
  header.setUint32(0, 0xabcd, true);
  storage.write(new Uint8Array(header.buffer), 24);
  const disk = await openDisk(storage);
  await disk.write(pattern(1, 5000), MIB);
  await disk.close();
  const content = await readAll(await openDisk(storage, false));
  const image = await openWritable(storage);
  const placement = await image.place(0, 4096);
  if (placement.kind === 'allocation') {
    await placement.commit();
  }
  await image.setBacking({ location: 'x', format: 'raw' });
  t.match(await inspect(storage), { needCheck: true }, 'the mark of a change under way stays');
  await image.close();
  t.match(await inspect(storage), { needCheck: false, problems: [], leaks: 0 });
  const after = await openDisk(storage, false);
  t.ok(sameBytes((await readAll(after)).subarray(MIB), content.subarray(MIB)));
  const compat = new Uint8Array(8);
  storage.read(compat, 24);
  t.same(compat, new Uint8Array(header.buffer), 'compatible features are not ours to change');
});

t.test('names that do not fit', async (t) => {
  const storage = new MemoryStorage({ location: 'a.qed' });
  await create(storage, 8 * MIB);
  const before = await bytesOf(storage);
  const image = await openWritable(storage);
  for (const [location, code] of [
    ['a'.repeat(1024), 'LIMIT_EXCEEDED'],
    ['', 'INVALID_ARGUMENT'],
    ['a\0', 'INVALID_ARGUMENT'],
  ] as const) {
    await t.rejects(image.setBacking({ location }), { code, location: 'a.qed' });
  }
  await image.close();
  t.ok(sameBytes(await bytesOf(storage), before));
  const readOnly = await driver.open(storage, { writable: false });
  await t.rejects(readOnly.setBacking(undefined), { code: 'READ_ONLY' });
  await t.rejects(readOnly.makeEmpty(), { code: 'READ_ONLY' });
  await t.rejects(readOnly.check({ repair: 'leaks' }), { code: 'READ_ONLY' });
});

t.test('emptied: a crash leaves a sound image', async (t) => {
  const start = new MemoryStorage();
  await create(start, 8 * MIB);
  const disk = await openDisk(start);
  for (let i = 0; i < 4; i += 1) {
    await disk.write(pattern(i, 9000), i * 2 * MIB);
  }
  await disk.close();
  const storage = CrashStorage.from(await bytesOf(start));
  const image = await openWritable(storage);
  await image.makeEmpty();
  t.equal((await image.map(0, 4096)).kind, 'unallocated');
  const placement = await image.place(0, 4096);
  t.match(placement, { kind: 'allocation', offset: 8192, fresh: true });
  if (placement.kind === 'allocation') {
    placement.abort();
  }
  await image.close();
  t.equal(storage.size, 8192);
  t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false });
  for (const durable of [0, ...storage.flushes]) {
    const next = storage.flushes.find((flush) => flush > durable) ?? storage.changes;
    const state = storage.afterChanges(durable, (index) => index < next);
    t.match(await inspect(state), { problems: [] });
    await (await openWritable(state)).close();
    t.match(await inspect(state), { problems: [], leaks: 0, needCheck: false });
  }
});
