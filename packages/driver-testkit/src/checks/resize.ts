import type { Disk } from '@lamella/core';
import { pattern, randomSource, sameBytes, storageContent } from '../model/bytes.js';
import { CrashStorage } from '../storage/crash-storage.js';
import { LastingStorage } from '../storage/lasting-storage.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustBeTyped, mustEqual, needing, under } from './check.js';
import { memoryOf, mustBeSound, readAll, reopened, startFrom } from './disks.js';

const SECTOR = 512;

const GROWTHS: readonly (readonly [string, (size: number, unit: number) => number])[] = [
  ['by a sector', (size) => size + SECTOR],
  ['by a cluster', (size, unit) => size + unit],
  ['by many clusters', (size, unit) => size + unit * 37],
  ['by 1 GiB', (size) => size + 2 ** 30],
  ['by nothing', (size) => size],
];

const SHRINKS: readonly (readonly [string, (size: number, unit: number) => number])[] = [
  ['by a sector', (size) => size - SECTOR],
  ['by some clusters', (size, unit) => size - unit * 4],
  ['to a sector', () => SECTOR],
  ['to nothing', () => 0],
];

/** Changes of size in which the machine stops: one that tables have room for, one that they have not, one back. */
const CRASHING: readonly (readonly [string, SizeOf])[] = [
  ['larger by a cluster', (size, unit) => size + unit],
  ['larger by many clusters', (size, unit) => size + unit * 37],
  ['smaller by some clusters', (size, unit) => Math.max(0, size - unit * 4)],
];
/** Crashes that are tried at each moment of a change of size. */
const CRASHES = 3;
/** Most moments. */
const MOMENTS = 20;

/** Disks that change their size. */
export function resizeChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('resize');
  if (subject.manifest.abilities?.resize === false) {
    return [];
  }
  for (const start of subject.starts) {
    for (const [what, sizeOf] of GROWTHS) {
      addGrowth(group, subject, start, what, sizeOf);
    }
    for (const [what, sizeOf] of SHRINKS) {
      addShrink(group, subject, start, what, sizeOf);
    }
    for (const [what, sizeOf] of CRASHING) {
      addCrash(group, subject, start, what, sizeOf);
    }
    for (const size of [2 ** 53 - 1, 2 ** 53 - 512, 2 ** 52]) {
      addRefusal(group, subject, start, size);
    }
  }
  return group.checks;
}

type SizeOf = (size: number, unit: number) => number;

function addGrowth(
  group: CheckGroup,
  subject: Subject,
  start: NamedSample,
  what: string,
  sizeOf: SizeOf,
): void {
  group.add(
    'resize-1',
    `larger ${what}: ${start.name}`,
    needing(subject, 'resize', async () => {
      const sample = await start.get();
      const unit = await subject.unit();
      const size = sizeOf(sample.content.length, unit);
      const { disk, storage } = await startFrom(subject, sample);
      await disk.write(pattern(1, 0, 100), unit);
      try {
        await disk.resize(size);
      } catch (error) {
        const { code, message } = mustBeTyped(error, 'resize');
        must(code === 'LIMIT_EXCEEDED' && size > sample.content.length * 100, message);
        await disk.close();
        return 'the format has no room for that';
      }
      must(disk.size >= size && disk.size < size + SECTOR, `${size} bytes became ${disk.size}`);
      const visible = Math.min(disk.size, sample.content.length + unit * 40);
      const expected = new Uint8Array(visible);
      expected.set(sample.content);
      expected.set(pattern(1, 0, 100), unit);
      mustEqual(await head(disk, visible), expected, 'the larger disk');
      const position = Math.max(0, visible - unit - 50);
      const bytes = pattern(2, position, visible - position);
      await disk.write(bytes, position);
      expected.set(bytes, position);
      mustEqual(await head(disk, visible), expected, 'the larger disk, written');
      const newSize = disk.size;
      await disk.close();
      const again = await subject.disk(storage, { backing: sample.backing });
      must(again.size === newSize, `after reopening its size is ${again.size}, not ${newSize}`);
      mustEqual(await head(again, visible), expected, 'the larger disk, reopened');
      await again.close();
      await mustBeSound(subject, storage);
      return undefined;
    }),
  );
}

function addShrink(
  group: CheckGroup,
  subject: Subject,
  start: NamedSample,
  what: string,
  sizeOf: SizeOf,
): void {
  group.add(
    'resize-2',
    `smaller ${what}: ${start.name}`,
    needing(subject, 'resize', async () => {
      const sample = await start.get();
      const size = Math.max(0, sizeOf(sample.content.length, await subject.unit()));
      const { disk, storage } = await startFrom(subject, sample);
      const before = disk.size;
      let refused: unknown;
      await disk.resize(size).catch((error: unknown) => {
        refused = error;
      });
      if (refused !== undefined) {
        mustBeTyped(refused, 'resize');
        must(disk.size === before, `resize was refused and the size is ${disk.size}`);
        mustEqual(await readAll(disk), sample.content, 'after the refusal');
        await disk.close();
        mustEqual(await reopened(subject, storage, sample.backing), sample.content, 'reopened');
        return;
      }
      must(disk.size >= size && disk.size < size + SECTOR, `${size} bytes became ${disk.size}`);
      const kept = sample.content.subarray(0, size);
      mustEqual((await readAll(disk)).subarray(0, size), kept, 'the smaller disk');
      await disk.resize(before);
      const expected = new Uint8Array(before);
      expected.set(kept);
      mustEqual(await readAll(disk), expected, 'larger again');
      await disk.close();
      mustEqual(await reopened(subject, storage, sample.backing), expected, 'reopened');
      await mustBeSound(subject, storage);
    }),
  );
}

/** A stop of the machine while the size changes leaves the old size or the new one, and the bytes of both. */
function addCrash(
  group: CheckGroup,
  subject: Subject,
  start: NamedSample,
  what: string,
  sizeOf: SizeOf,
): void {
  group.add(
    'crash-1',
    `a stop while it becomes ${what}: ${start.name}`,
    needing(subject, 'resize', async () => {
      const { image, content, backing } = await start.get();
      const size = sizeOf(content.length, await subject.unit());
      const storage = CrashStorage.from(image);
      const disk = await subject.disk(new LastingStorage(storage), { writable: true, backing });
      const before = storage.moment;
      try {
        await disk.resize(size);
      } catch (error) {
        mustBeTyped(error, 'resize');
        await disk.close();
        return 'the size is refused';
      }
      await disk.close();
      const random = randomSource(subject.seed(`resize ${what} ${start.name}`));
      const step = Math.max(1, Math.ceil((storage.moment - before) / MOMENTS));
      const kept = Math.min(size, content.length);
      for (let moment = before; moment <= storage.moment; moment += step) {
        for (let crash = 0; crash < CRASHES; crash += 1) {
          const state = memoryOf(await storageContent(storage.afterCrash(moment, random)));
          const found = await reopened(subject, state, backing);
          must(found.length >= kept, `the disk has ${found.length} bytes after a crash`);
          mustEqual(found.subarray(0, kept), content.subarray(0, kept), 'after a crash the disk');
          must(
            found.subarray(content.length).every((byte) => byte === 0),
            'after a crash the new bytes are not zero',
          );
          // Formats that mark open images are in order again once someone has opened and closed them.
          await (await subject.disk(state, { writable: true, backing })).close();
          await under('crash-2', () => mustBeSound(subject, state, { leaks: 'allowed' }));
        }
      }
      return undefined;
    }),
  );
}

function addRefusal(group: CheckGroup, subject: Subject, start: NamedSample, size: number): void {
  group.add(
    'resize-3',
    `to ${size} bytes: ${start.name}`,
    needing(subject, 'resize', async () => {
      const sample = await start.get();
      const { disk, storage } = await startFrom(subject, sample);
      const before = disk.size;
      const bytes = await storageContent(storage);
      try {
        await disk.resize(size);
        must(disk.size >= size, `${size} bytes became ${disk.size}`);
        await disk.close();
      } catch (error) {
        mustBeTyped(error, 'resize');
        must(disk.size === before, `resize was refused and the size is ${disk.size}`);
        const same =
          storage.size === bytes.length && sameBytes(await storageContent(storage), bytes);
        must(same, 'resize was refused and the storage was changed');
        mustEqual(await readAll(disk), sample.content, 'after the refusal');
        await disk.close();
        mustEqual(await reopened(subject, storage, sample.backing), sample.content, 'reopened');
      }
    }),
  );
}

async function head(disk: Disk, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await disk.read(bytes, 0);
  return bytes;
}
