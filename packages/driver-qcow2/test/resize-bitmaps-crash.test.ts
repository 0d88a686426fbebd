import { join } from 'node:path';
import type { ByteRange, MemoryStorage, OptionValue, Preallocation } from '@lamella/core';
import { CrashStorage } from '@lamella/driver-testkit';
import t, { type Test } from 'tap';
import { rangesFrom, type StoredBitmap, storedBitmaps } from './support/bitmaps.js';
import { filled, newImage, openDisk, randomSource } from './support/disks.js';
import { directory, HAVE_QEMU, qemuCheck, saveFile } from './support/qemu.js';
import { verify } from './support/verify.js';

const K = 1024;
const M = K * K;
const OLD = 2 * M - 1024;
/** How likely a change that was not flushed survives the crash. */
const CHANCES = [0, 0.5, 0.8, 1];

interface Change {
  readonly name: string;
  readonly options: Record<string, OptionValue>;
  readonly to: number;
  readonly preallocation?: Preallocation;
}

const CHANGES: readonly Change[] = [
  { name: 'grow, with longer tables', options: { cluster_size: 512 }, to: 9 * M },
  { name: 'grow within the tables', options: { cluster_size: 4096 }, to: 2 * M },
  {
    name: 'grow, preallocating',
    options: { cluster_size: 4096 },
    to: 3 * M,
    preallocation: 'metadata',
  },
  { name: 'shrink, with shorter tables', options: { cluster_size: 512 }, to: 300 * K + 512 },
  { name: 'shrink, extended', options: { cluster_size: 16384, extended_l2: true }, to: 700 * K },
];

/** What was written since the bitmaps were added. */
const WRITTEN: readonly ByteRange[] = [
  { offset: 100 * K, length: 60 * K },
  { offset: OLD - 100 * K, length: 100 * K },
];

const BITMAPS = [
  { name: 'fine', granularity: 512 },
  { name: 'coarse', granularity: 256 * K },
  { name: 'stopped', granularity: 4096 },
];

async function prepared({ options }: Change): Promise<MemoryStorage> {
  const storage = await newImage(OLD, options);
  const disk = await openDisk([storage], { writable: true });
  for (const bitmap of BITMAPS) {
    await disk.bitmaps.add(bitmap);
  }
  for (const { offset, length } of WRITTEN) {
    await disk.write(filled(length, 7), offset);
  }
  await disk.bitmaps.disable('stopped');
  await disk.close();
  return storage;
}

/** What is wrong with a bitmap that nobody says is in use. */
function problem(
  { name, granularity, table, inUse, ranges }: StoredBitmap,
  size: number,
  clusterSize: number,
): string | undefined {
  const entries = Math.ceil(Math.ceil(size / granularity) / (clusterSize * 8));
  if (table.length !== entries) {
    return `'${name}' has ${table.length} table entries for a disk of ${size} bytes, not ${entries}`;
  }
  if (inUse) {
    return undefined;
  }
  for (const { offset, length } of WRITTEN) {
    const end = Math.min(offset + length, size);
    const told = ranges.some((one) => one.offset <= offset && end <= one.offset + one.length);
    if (offset < end && !told) {
      return `'${name}' does not tell of ${offset} to ${end}`;
    }
  }
  return undefined;
}

async function assertSurvives(t: Test, change: Change): Promise<void> {
  const path = join(directory(t), 'image');
  const inner = await prepared(change);
  const storage = await CrashStorage.over(inner);
  const disk = await openDisk([storage], { writable: true });
  const { clusterSize = 0 } = disk.openLayers[0]?.image ?? {};
  await disk.resize(change.to, { preallocation: change.preallocation });
  await disk.close();
  t.same(await verify(inner), { corruptions: [], leaks: 0 }, 'clean at the end');
  const random = randomSource(9);
  const failures: string[] = [];
  const seen = { consistent: 0, inUse: 0, old: 0, new: 0 };
  for (const moment of storage.boundaries) {
    for (const chance of CHANCES) {
      const state = storage.stateAt(moment, () => random() < chance);
      const fail = (text: string) => failures.push(`at ${moment}: ${text}`);
      (await verify(state)).corruptions.forEach(fail);
      const bitmaps = await storedBitmaps(state);
      const names = bitmaps.map(({ name }) => name);
      if (names.join() !== BITMAPS.map(({ name }) => name).join()) {
        fail(`there are the bitmaps ${names.join(', ')}`);
      }
      if (HAVE_QEMU && moment % 8 === 0) {
        await saveFile(state, path);
        const { code, text } = qemuCheck(path);
        if (code !== 0 && code !== 3) {
          fail(text);
        }
      }
      const after = await openDisk([state], { writable: true });
      for (const bitmap of bitmaps) {
        const wrong = problem(bitmap, after.size, clusterSize);
        if (wrong !== undefined) {
          fail(wrong);
        }
        seen.consistent += bitmap.inUse ? 0 : 1;
        seen.inUse += bitmap.inUse ? 1 : 0;
        if (!bitmap.inUse) {
          await rangesFrom(after, bitmap.name);
        }
      }
      seen.old += after.size === OLD ? 1 : 0;
      seen.new += after.size === change.to ? 1 : 0;
      await after.close();
      (await verify(state)).corruptions.forEach(fail);
    }
  }
  t.same(failures.slice(0, 10), [], `${storage.boundaries.length * CHANCES.length} crash states`);
  t.ok(seen.old > 0 && seen.new > 0 && seen.consistent > 0, `seen: ${JSON.stringify(seen)}`);
}

for (const change of CHANGES) {
  t.test(`a crash while a disk with bitmaps changes its size: ${change.name}`, (t) =>
    assertSurvives(t, change),
  );
}
