import { Disk, MemoryStorage } from '@lamella/core';
import t from 'tap';
import {
  bytesOf,
  create,
  driver,
  inspect,
  MIB,
  openDisk,
  pattern,
  readAll,
  sameBytes,
} from './helpers.js';

const CLUSTER = 4096;
const CLUSTERS = 1000;
const TABLE = 4;
const CONTENT = pattern(1, CLUSTERS * CLUSTER);
const MORE = pattern(2, CLUSTER);

/** An image of 1000 clusters every other of which nothing refers to any more. */
async function halfLeaked(needCheck: boolean): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  await create(storage, 16 * MIB, { table_size: TABLE });
  const disk = await openDisk(storage);
  await disk.write(CONTENT, 0);
  await disk.close();
  const bytes = await bytesOf(storage);
  const view = new DataView(bytes.buffer);
  const table = view.getUint32(view.getUint32(40, true), true);
  for (let cluster = 1; cluster < CLUSTERS; cluster += 2) {
    view.setBigUint64(table + cluster * 8, 0n, true);
  }
  view.setUint32(16, needCheck ? 2 : 0, true);
  return MemoryStorage.from(bytes);
}

/** Fills free clusters again and tells by how many clusters the file has grown. */
async function fill(
  storage: MemoryStorage,
  count: number,
  prepare: 'nothing' | 'check' | 'reclaim',
): Promise<number> {
  const before = storage.size;
  const image = await driver.open(storage, {
    writable: true,
    options: { reclaim: prepare === 'reclaim' },
  });
  const disk = new Disk([{ format: 'qed', storage, image, writable: true }]);
  if (prepare === 'check') {
    await disk.check({ repair: 'leaks' });
  }
  for (let i = 0; i < count; i += 1) {
    await disk.write(MORE, 4 * MIB + i * CLUSTER);
  }
  await disk.flush();
  const kept = await readAll(disk);
  for (let cluster = 0; cluster < CLUSTERS; cluster += 2) {
    const at = cluster * CLUSTER;
    const expected = CONTENT.subarray(at, at + CLUSTER);
    if (!sameBytes(kept.subarray(at, at + CLUSTER), expected)) {
      throw new Error(`cluster ${cluster} was overwritten`);
    }
  }
  await disk.close();
  return (storage.size - before) / CLUSTER;
}

t.test('growth is only what the free list could not serve', async (t) => {
  const free = CLUSTERS / 2;
  const lines: string[] = [];
  for (const [name, needCheck, prepare] of [
    ['clean, not checked', false, 'nothing'],
    ['left unclean, repaired on open', true, 'nothing'],
    ['clean, checked while open', false, 'check'],
    ['clean, opened with reclaim', false, 'reclaim'],
  ] as const) {
    const served = needCheck || prepare !== 'nothing' ? free : 0;
    for (const count of [100, free, free + 300]) {
      const growth = await fill(await halfLeaked(needCheck), count, prepare);
      // What is left is parked, for which this image needs one more table.
      const expected = count < served ? TABLE : count - served;
      t.equal(growth, expected, `${name}: ${count} clusters written`);
      lines.push(`${name}: ${count} written, ${served} free, grown by ${growth} clusters`);
    }
  }
  t.comment(lines.join('\n'));
});

t.test('leaks are gone when all of them are used again', async (t) => {
  const storage = await halfLeaked(true);
  const { leaks } = await inspect(storage);
  t.equal(leaks, CLUSTERS / 2);
  const disk = await openDisk(storage);
  await disk.write(pattern(3, leaks * CLUSTER), 4 * MIB);
  await disk.close();
  t.match(await inspect(storage), { leaks: 0, problems: [], needCheck: false });
});
