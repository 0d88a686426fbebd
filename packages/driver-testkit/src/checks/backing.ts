import { MemoryStorage, type Reference } from '@lamella/core';
import { pattern } from '../model/bytes.js';
import type { Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustEqual, refusal } from './check.js';
import { memoryOf, mustLast, readAll, reopened } from './disks.js';

const SECTOR = 512;

/** Sizes of the disk below, by the size of the disk on top and its clusters. */
const BELOW: readonly (readonly [string, (size: number, unit: number) => number])[] = [
  ['nothing', () => 0],
  ['a sector', () => SECTOR],
  ['half as long', (size) => size / 2 - ((size / 2) % SECTOR)],
  ['shorter by half a cluster', (size, unit) => size - (size % unit) - unit / 2],
  ['shorter by a sector', (size) => size - SECTOR],
  ['equally long', (size) => size],
  ['longer by a sector', (size) => size + SECTOR],
  ['twice as long', (size) => size * 2],
];

const NAMES: readonly (readonly [string, Reference])[] = [
  ['a name', { location: 'base.img', format: 'raw' }],
  ['a path', { location: '../images/base of all.img', format: 'raw' }],
  ['an absolute path', { location: '/var/lib/images/base.img' }],
  ['letters beyond ASCII', { location: 'Bäse/основа/基.img' }],
  ['a json: name', { location: 'json:{"driver":"raw","file":{"filename":"a.img"}}' }],
  ['200 bytes', { location: 'n'.repeat(200) }],
];

/** Layers below the image. */
export function backingChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('backing');
  const { abilities, create } = subject.manifest;
  if (create === undefined) {
    return [];
  }
  if (abilities?.backing !== true) {
    group.add('backing-5', 'made with a backing file', async () => {
      if (subject.driver().supportsBacking === true) {
        must(abilities?.backing !== false, 'the driver supports backing files');
        return 'the manifest does not say whether there are backing files';
      }
      const storage = new MemoryStorage();
      const creation = subject.creation(1024 * 1024, { backing: { location: 'base.img' } });
      const error = await refusal(() => subject.create(storage, creation), 'a backing file');
      must(/^(INVALID_ARGUMENT|UNSUPPORTED)$/.test(error.code), `the error is ${error.code}`);
      must(storage.size === 0, 'the storage was changed');
      return undefined;
    });
    return group.checks;
  }
  for (const [what, reference] of NAMES) {
    group.add('backing-1', what, async () => {
      const image = await subject.open(memoryOf(await subject.newImage(1024 * 1024, reference)));
      const { backing } = image.references;
      must(backing?.location === reference.location, `it became '${backing?.location}'`);
      const { format } = backing;
      must(
        format === reference.format || format === undefined,
        `the format '${reference.format}' became '${format}'`,
      );
      await image.close();
    });
  }
  for (const [what, reference] of [
    ['no name at all', { location: '' }],
    ['100000 bytes', { location: 'n'.repeat(100_000) }],
  ] as const) {
    group.add('backing-1', `${what}: refused`, async () => {
      const storage = new MemoryStorage();
      const creation = subject.creation(1024 * 1024, { backing: reference });
      await refusal(() => subject.create(storage, creation), `a backing file with ${what}`);
      must(storage.size === 0, 'the storage was changed');
    });
  }
  for (const [what, sizeOf] of BELOW) {
    addReading(group, subject, what, sizeOf);
    addWriting(group, subject, what, sizeOf);
    addClearing(group, subject, what, sizeOf);
  }
  return group.checks;
}

type SizeOf = (size: number, unit: number) => number;

/** A new image over a disk of some size, what the guest sees, and what is below. */
async function overlay(subject: Subject, sizeOf: SizeOf) {
  const size = await subject.size();
  const unit = await subject.unit();
  const backing = pattern(31, 0, Math.max(0, Math.floor(sizeOf(size, unit))));
  const expected = new Uint8Array(size);
  expected.set(backing.subarray(0, size));
  const storage = memoryOf(await subject.newImage(size, { location: 'base.img', format: 'raw' }));
  return { size, unit, backing, expected, storage };
}

function addReading(group: CheckGroup, subject: Subject, what: string, sizeOf: SizeOf): void {
  group.add('backing-2', `below is ${what}`, async () => {
    const { storage, backing, expected } = await overlay(subject, sizeOf);
    mustEqual(await reopened(subject, storage, backing), expected, 'a new image');
  });
}

function addWriting(group: CheckGroup, subject: Subject, what: string, sizeOf: SizeOf): void {
  group.add('backing-3', `written in part, below is ${what}`, async () => {
    const { storage, backing, expected, size, unit } = await overlay(subject, sizeOf);
    const disk = await subject.disk(storage, { writable: true, backing });
    const inBelow = Math.max(0, Math.min(size, backing.length));
    for (const [offset, length] of [
      [1, 1],
      [unit - 1, 2],
      [unit * 3 + 7, unit],
      [unit * 6, unit / 2],
      [inBelow - 3, 6],
      [size - 10, 10],
    ] as const) {
      const start = Math.max(0, Math.min(size - 1, Math.floor(offset)));
      const bytes = pattern(5, start, Math.min(Math.floor(length), size - start));
      await disk.write(bytes, start);
      expected.set(bytes, start);
    }
    mustEqual(await readAll(disk), expected, 'after the writes');
    await mustLast(subject, disk, storage, expected, backing);
  });
}

function addClearing(group: CheckGroup, subject: Subject, what: string, sizeOf: SizeOf): void {
  for (const [kind, unmap] of [
    ['zeroed', true],
    ['zeroed, keeping the space', false],
    ['discarded', true],
    ['written, then discarded', true],
  ] as const) {
    group.add('backing-4', `${kind}, below is ${what}`, async () => {
      const { storage, backing, expected, size, unit } = await overlay(subject, sizeOf);
      const disk = await subject.disk(storage, { writable: true, backing });
      const start = Math.min(unit * 2, Math.floor(size / 4));
      const length = Math.min(unit * 5, size - start);
      if (kind === 'written, then discarded') {
        await disk.write(pattern(6, start, length), start);
        expected.set(pattern(6, start, length), start);
      }
      if (kind.startsWith('zeroed')) {
        await disk.writeZeroes(start, length, { unmap });
        expected.fill(0, start, start + length);
      } else {
        await disk.discard(start, length);
        const found = await readAll(disk);
        for (let at = start; at < start + length; at += 1) {
          expected[at] = found[at] === 0 ? 0 : (expected[at] ?? 0);
        }
      }
      const end = Math.max(0, size - unit - 100);
      await disk.writeZeroes(end, size - end, { unmap });
      expected.fill(0, end);
      mustEqual(await readAll(disk), expected, 'after the request');
      await disk.close();
      const again = await reopened(subject, storage, backing);
      if (!kind.startsWith('zeroed')) {
        for (let at = start; at < start + length; at += 1) {
          expected[at] = again[at] === 0 ? 0 : (expected[at] ?? 0);
        }
      }
      mustEqual(again, expected, 'after reopening');
    });
  }
}
