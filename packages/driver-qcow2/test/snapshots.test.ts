import { isLamellaError, type MemoryStorage, type OptionValue } from '@lamella/core';
import { FaultyStorage } from '@lamella/driver-testkit';
import t from 'tap';
import { Editable } from './support/editable.js';
import {
  compressingDriver,
  content,
  createOptions,
  filled,
  newStorage,
  open,
} from './support/snapshots.js';
import { verify } from './support/verify.js';

const SIZE = 256 * 1024;

async function image(
  options: Record<string, OptionValue> = { cluster_size: 4096 },
): Promise<MemoryStorage> {
  const storage = newStorage();
  await compressingDriver.create(storage, createOptions(SIZE, options));
  return storage;
}

/** An image with a snapshot `one` of ones under a disk of twos. */
async function withSnapshot(): Promise<Editable> {
  const storage = await image();
  const disk = await open(storage, true);
  await disk.write(filled(SIZE / 2, 1), 0);
  await disk.snapshots.create({ name: 'one' });
  await disk.write(filled(SIZE / 2, 2), 0);
  await disk.close();
  return new Editable(bytesOf(storage));
}

function bytesOf(storage: MemoryStorage): Buffer {
  const bytes = Buffer.alloc(storage.size);
  storage.read(bytes, 0);
  return bytes;
}

function stored(image: Editable): MemoryStorage {
  const storage = newStorage();
  storage.write(image.bytes, 0);
  return storage;
}

/** Everything but the feature bits: a write that is refused may mark the image as corrupt. */
function butFeatures(storage: MemoryStorage): Buffer {
  return bytesOf(storage).fill(0, 72, 80);
}

/** Makes the table say that it has many entries with long names. */
function manyLong(image: Editable): void {
  image.set32(60, 9);
  image.bytes.fill(0xff, image.snapshotTable + 12, image.snapshotTable + 16);
  image.bytes.fill(0xff, image.snapshotTable + 160_000, image.bytes.length);
}

t.test('an identifier comes before a name', async (t) => {
  await using disk = await open(await image(), true);
  await disk.write(filled(100, 1), 0);
  await disk.snapshots.create({ name: '2' });
  await disk.write(filled(100, 2), 0);
  await disk.snapshots.create({ name: 'x' });
  await disk.write(filled(100, 3), 0);
  const first = async (key: Parameters<typeof disk.snapshots.open>[0]) => {
    await using then = await disk.snapshots.open(key);
    const byte = new Uint8Array(1);
    await then.read(byte, 0);
    return byte[0];
  };
  t.equal(await first('2'), 2);
  t.equal(await first({ name: '2' }), 1);
  t.equal(await first({ id: '1' }), 1);
  t.equal(await first({ id: '1', name: '2' }), 1);
  await t.rejects(first({ id: '1', name: 'x' }), { code: 'NOT_FOUND' });
  await t.rejects(first({ id: 'x' }), { code: 'NOT_FOUND' });
  await t.rejects(first({}), { code: 'INVALID_ARGUMENT' });
  await t.rejects(disk.snapshots.apply('none'), { code: 'NOT_FOUND' });
  await t.rejects(disk.snapshots.delete('none'), { code: 'NOT_FOUND' });
});

t.test('a name that two snapshots have is no key', async (t) => {
  await using disk = await open(await image(), true);
  await disk.snapshots.create({ name: 'same' });
  await disk.snapshots.create({ name: 'same' });
  await t.rejects(disk.snapshots.delete('same'), { code: 'INVALID_ARGUMENT', hint: /'1', '2'/ });
  await disk.snapshots.delete({ id: '1', name: 'same' });
  await disk.snapshots.delete('same');
  t.same(disk.snapshots.list(), []);
});

t.test('identifiers go on from the highest', async (t) => {
  await using disk = await open(await image(), true);
  for (const name of ['a', 'b', 'c']) {
    await disk.snapshots.create({ name });
  }
  await disk.snapshots.delete('b');
  t.equal((await disk.snapshots.create({ name: 'd' })).id, '4');
  await disk.snapshots.delete('d');
  t.equal((await disk.snapshots.create({ name: 'e' })).id, '4', 'as in QEMU');
});

t.test('what a snapshot says of itself', async (t) => {
  const storage = await image();
  const disk = await open(storage, true);
  const date = new Date('2026-05-04T03:02:01.987Z');
  const created = await disk.snapshots.create({ name: 'höhe', date });
  t.same(disk.snapshots.list(), [created]);
  t.match(created, { id: '1', name: 'höhe', date, dateNanoseconds: 987_000_000, vmStateSize: 0 });
  t.equal(created.diskSize, SIZE);
  await disk.close();
  await using again = await open(storage);
  t.same(again.snapshots.list(), [created]);
});

t.test('names and dates that cannot be stored', async (t) => {
  const storage = await image();
  await using disk = await open(storage, true);
  const before = bytesOf(storage);
  for (const name of ['x'.repeat(256), 'ä'.repeat(128), 'a\0b', '\ud800']) {
    await t.rejects(disk.snapshots.create({ name }), { code: 'INVALID_ARGUMENT' });
  }
  for (const date of [new Date(Number.NaN), new Date(-1), new Date(2 ** 32 * 1000)]) {
    await t.rejects(disk.snapshots.create({ name: 'x', date }), { code: 'INVALID_ARGUMENT' });
  }
  t.ok(before.equals(bytesOf(storage)), 'nothing was written');
  await disk.snapshots.create({ name: 'x'.repeat(255), date: new Date((2 ** 32 - 1) * 1000) });
});

t.test('a read-only disk shows its snapshots and keeps them', async (t) => {
  const storage = stored(await withSnapshot());
  await using disk = await open(storage);
  await using then = await disk.snapshots.open('one');
  t.equal(then.isWritable, false);
  t.ok(Buffer.compare((await content(then)).subarray(0, SIZE / 2), filled(SIZE / 2, 1)) === 0);
  await t.rejects(disk.snapshots.create({ name: 'x' }), { code: 'READ_ONLY' });
  await t.rejects(disk.snapshots.apply('one'), { code: 'READ_ONLY' });
  await t.rejects(disk.snapshots.delete('one'), { code: 'READ_ONLY' });
  await t.rejects(then.write(filled(1, 1), 0), { code: 'READ_ONLY' });
  t.throws(() => then.snapshots.list(), { code: 'UNSUPPORTED' });
});

t.test('disks as of snapshots end with their disk', async (t) => {
  const disk = await open(stored(await withSnapshot()), true);
  const then = await disk.snapshots.open('one');
  await disk.close();
  await t.rejects(then.read(new Uint8Array(1), 0), { code: 'CLOSED' });
  await t.rejects(disk.snapshots.open('one'), { code: 'CLOSED' });
  await then.close();
});

t.test('a snapshot is seen through to the backing layer', async (t) => {
  const below = await image();
  const lower = await open(below, true);
  await lower.write(filled(SIZE, 7), 0);
  await lower.close();
  const storage = newStorage();
  const backing = { location: 'below', format: 'qcow2' };
  await compressingDriver.create(storage, createOptions(SIZE, { cluster_size: 4096 }, backing));
  await using disk = await open(storage, true, { below });
  await disk.snapshots.create({ name: 'empty' });
  await disk.write(filled(SIZE, 8), 0);
  await using then = await disk.snapshots.open('empty');
  t.equal(then.layers.length, 2);
  t.ok((await content(then)).every((byte) => byte === 7));
  await disk.snapshots.apply('empty');
  t.ok((await content(disk)).every((byte) => byte === 7));
});

t.test('requests under way and a change of snapshots wait for each other', async (t) => {
  const storage = await image();
  const disk = await open(storage, true);
  const writes = Array.from({ length: 16 }, (_, i) => disk.write(filled(8000, 1), i * 8001));
  const creating = disk.snapshots.create({ name: 'during' });
  const later = Array.from({ length: 16 }, (_, i) => disk.write(filled(8000, 2), i * 8001));
  await Promise.all([...writes, creating, ...later]);
  await using then = await disk.snapshots.open('during');
  const bytes = await content(then);
  for (let i = 0; i < 16; i += 1) {
    t.equal(bytes[i * 8001 + 10], 1);
  }
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('the space of what is deleted is used again', async (t) => {
  const storage = await image();
  const disk = await open(storage, true);
  await disk.write(filled(SIZE, 1), 0);
  const round = async () => {
    await disk.snapshots.create({ name: 'x' });
    await disk.write(filled(SIZE, 2), 0);
    await disk.snapshots.delete('x');
    await disk.flush();
  };
  await round();
  await round();
  const { size } = storage;
  for (let i = 0; i < 10; i += 1) {
    await round();
  }
  t.equal(storage.size, size);
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('an L1 table of many clusters finds room', async (t) => {
  const storage = newStorage();
  // 512 MiB in 512-byte clusters: the L1 table alone takes 256 clusters, a refcount block counts 64.
  const options = { cluster_size: 512, refcount_bits: 64 };
  await compressingDriver.create(storage, createOptions(512 * 1024 * 1024, options));
  const disk = await open(storage, true);
  await disk.write(filled(100_000, 1), 300 * 1024 * 1024);
  await disk.snapshots.create({ name: 'a' });
  await disk.write(filled(100_000, 2), 300 * 1024 * 1024);
  await disk.snapshots.create({ name: 'b' });
  await disk.snapshots.apply('a');
  await disk.snapshots.delete('b');
  const seen = new Uint8Array(100_000);
  await disk.read(seen, 300 * 1024 * 1024);
  t.ok(seen.every((byte) => byte === 1));
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

t.test('no more than 65536 snapshots', async (t) => {
  const edited = await withSnapshot();
  const at = Math.ceil(edited.bytes.length / 4096) * 4096;
  const entry = 64 + 8;
  edited.resize(at + 65536 * entry);
  for (let i = 0; i < 65536; i += 1) {
    const position = at + i * entry;
    edited.set16(position + 12, 5);
    edited.set16(position + 14, 3);
    edited.set32(position + 36, 24);
    edited.bytes.write(`${10000 + i}abc`, position + 64);
  }
  edited.set32(60, 65536);
  edited.set64(64, at);
  await using disk = await open(stored(edited), true);
  t.equal(disk.snapshots.list().length, 65536);
  await t.rejects(disk.snapshots.create({ name: 'x' }), { code: 'LIMIT_EXCEEDED' });
});

t.test('refcounts of one bit: only an empty disk can be kept', async (t) => {
  const storage = await image({ cluster_size: 4096, refcount_bits: 1 });
  const disk = await open(storage, true);
  await disk.snapshots.create({ name: 'empty' });
  await disk.write(filled(1, 1), 0);
  await disk.flush();
  const before = bytesOf(storage);
  await t.rejects(disk.snapshots.create({ name: 'x' }), {
    code: 'LIMIT_EXCEEDED',
    problem: /refcounts of 1 bits cannot count 2/,
  });
  t.ok(before.equals(bytesOf(storage)), 'nothing was written');
  await disk.snapshots.apply('empty');
  t.ok((await content(disk)).every((byte) => byte === 0));
  await disk.close();
  t.same(await verify(storage), { corruptions: [], leaks: 0 });
});

for (const failing of [['write', 'writev'], ['flush'], ['read']]) {
  t.test(`a ${failing[0]} that fails leaves the image as it was or as it should be`, async (t) => {
    for (let nth = 0; nth < 200; nth += 1) {
      const storage = stored(await withSnapshot());
      const faulty = new FaultyStorage(storage);
      const disk = await open(faulty, true);
      await disk.write(filled(5000, 3), 1000);
      await disk.flush();
      let calls = 0;
      faulty.fails = ({ method }) => {
        calls += failing.includes(method) ? 1 : 0;
        return failing.includes(method) && calls === nth + 1;
      };
      const results = [];
      for (const change of [
        () => disk.snapshots.create({ name: 'two' }),
        () => disk.snapshots.apply('one'),
        () => disk.snapshots.delete('one'),
      ]) {
        results.push(await change().catch((error: unknown) => error));
      }
      faulty.fails = () => false;
      const now = await content(disk).catch((error: unknown) => error);
      t.ok(now instanceof Uint8Array || isLamellaError(now, 'IO_ERROR'), `failure ${nth}`);
      await disk.close().catch(() => undefined);
      await using again = await open(storage);
      await content(again);
      t.same((await verify(storage)).corruptions, [], `${failing[0]} ${nth}`);
      if (results.every((result) => !isLamellaError(result))) {
        return;
      }
    }
    t.fail('there was no end to the operations');
  });
}

const DAMAGE: readonly (readonly [string, (image: Editable) => void, RegExp, RegExp])[] = [
  ['more entries than there are', (i) => i.set32(60, 9), /OK/, /OK/],
  ['entries past the end', manyLong, /TRUNCATED/, /TRUNCATED/],
  ['absurd extra data', (i) => i.set32(i.snapshotTable + 36, 0xffff_ff00), /LIMIT/, /LIMIT/],
  ['an absurd disk size', (i) => i.set64(i.snapshotTable + 48, 1n << 62n), /LIMIT/, /LIMIT/],
  [
    'a disk too large for its table',
    (i) => i.set64(i.snapshotTable + 48, 1n << 40n),
    /OK/,
    /CORRUPT/,
  ],
  ['an unaligned L1 table', (i) => i.set64(i.snapshotTable, 4096 * 3 + 512), /OK/, /CORRUPT/],
  ['an L1 table past the end', (i) => i.set64(i.snapshotTable, 1n << 40n), /OK/, /CORRUPT/],
  ['no L1 table', (i) => i.set64(i.snapshotTable, 0), /OK/, /CORRUPT/],
  ['an absurd L1 table', (i) => i.set32(i.snapshotTable + 8, 0xffff_ffff), /OK/, /LIMIT/],
  [
    'an L1 entry past the end',
    (i) => i.set64(Number(i.u64(i.snapshotTable)), 1n << 40n),
    /OK/,
    /CORRUPT/,
  ],
  [
    'an L1 entry that is unaligned',
    (i) => i.set64(Number(i.u64(i.snapshotTable)), 4096 * 3 + 512),
    /OK/,
    /CORRUPT/,
  ],
  [
    'an L2 entry past all refcounts',
    (i) => {
      const l1 = Number(i.u64(i.snapshotTable));
      i.set64(Number(i.u64(l1) & 0x00ff_ffff_ffff_fe00n), 1n << 45n);
    },
    /OK/,
    /CORRUPT/,
  ],
  [
    'a cluster in use at refcount 0',
    (i) => {
      const l2 = Number(i.u64(Number(i.u64(i.snapshotTable))) & 0x00ff_ffff_ffff_fe00n);
      i.refcount(Number(i.u64(l2) & 0x00ff_ffff_ffff_fe00n), 0);
    },
    /OK/,
    /OK|CORRUPT/,
  ],
];

for (const [name, damage, listing, using] of DAMAGE) {
  t.test(`a damaged snapshot: ${name}`, async (t) => {
    const edited = await withSnapshot();
    damage(edited);
    const storage = stored(edited);
    const codeOf = (error: unknown) => (isLamellaError(error) ? error.code : String(error));
    const codeAfter = (action: () => unknown) =>
      Promise.resolve()
        .then(action)
        .then(() => 'OK', codeOf);
    const reading = await open(storage);
    t.ok(
      (await content(reading)).subarray(0, SIZE / 2).every((byte) => byte === 2),
      'readable',
    );
    t.match(await codeAfter(() => reading.snapshots.list()), listing);
    const opened = codeAfter(async () => content(await reading.snapshots.open('one')));
    t.match(await opened, using);
    await reading.close();
    for (const change of ['apply', 'delete'] as const) {
      const target = stored(edited);
      const disk = await open(target, true);
      const before = butFeatures(target);
      const code = await codeAfter(() => disk.snapshots[change]('one'));
      if (name !== 'more entries than there are') {
        t.match(
          code,
          name.includes('too large') && change === 'delete' ? /OK/ : /CORRUPT|LIMIT|TRUNC/,
        );
      }
      t.ok(code === 'OK' || before.equals(butFeatures(target)), `${change}: nothing was written`);
      await disk.close();
    }
  });
}

t.test('two L1 entries that lead to one table do not take for ever', async (t) => {
  const storage = newStorage();
  await compressingDriver.create(storage, createOptions(64 * 1024 * 1024, { cluster_size: 512 }));
  const disk = await open(storage, true);
  await disk.write(filled(1, 1), 0);
  await disk.close();
  const edited = new Editable(bytesOf(storage));
  for (let entry = 1; entry < edited.u32(36); entry += 1) {
    edited.set64(edited.l1 + entry * 8, edited.u64(edited.l1));
  }
  await using again = await open(stored(edited), true);
  await t.rejects(again.snapshots.create({ name: 'x' }), { code: 'CORRUPT' });
});
