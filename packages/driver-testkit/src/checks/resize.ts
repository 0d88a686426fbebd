import type { Disk } from '@lamella/core';
import { pattern, sameBytes, storageContent } from '../model/bytes.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustBeTyped, mustEqual, needing } from './check.js';
import { mustBeSound, readAll, reopened, startFrom } from './disks.js';

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
