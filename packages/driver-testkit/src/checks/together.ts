import type { Disk } from '@lamella/core';
import { pattern, randomSource } from '../model/bytes.js';
import { type Change } from '../model/changes.js';
import { DiskModel } from '../model/disk-model.js';
import { TracingStorage } from '../storage/tracing-storage.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, mustEqual, needing } from './check.js';
import { memoryOf, mustLast, readAll } from './disks.js';

const CACHES: readonly (readonly [string, number | undefined])[] = [
  ['', undefined],
  [', smallest cache', 1],
];

/** Many requests at once, on a storage that takes its time. */
export function togetherChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('together');
  for (const start of subject.starts) {
    for (const [cache, cacheSize] of CACHES) {
      const slowDisk = async () => {
        const sample = await start.get();
        const storage = memoryOf(sample.image);
        const slow = new TracingStorage(storage, { delay: (_, id) => (id * 5) % 4 });
        const { backing } = sample;
        const disk = await subject.disk(slow, { writable: true, backing, cacheSize });
        return { disk, storage, sample, unit: await subject.unit() };
      };
      group.add(
        'together-1',
        `a write to every cluster${cache}: ${start.name}`,
        needing(subject, 'write', async () => {
          const { disk, storage, sample, unit } = await slowDisk();
          const expected = sample.content.slice();
          const writes: Promise<void>[] = [];
          for (let offset = 0; offset < disk.size && writes.length < 300; offset += unit) {
            const at = Math.min(disk.size - 1, offset + (writes.length % 50));
            const bytes = pattern(3, at, Math.min(unit / 2, disk.size - at));
            expected.set(bytes, at);
            writes.push(disk.write(bytes, at));
          }
          await Promise.all(writes);
          mustEqual(await readAll(disk), expected, 'after all writes');
          await mustLast(subject, disk, storage, expected, sample.backing);
        }),
      );
      group.add(
        'together-2',
        `many writes to one cluster${cache}: ${start.name}`,
        needing(subject, 'write', async () => {
          const { disk, storage, sample, unit } = await slowDisk();
          const expected = sample.content.slice();
          const step = Math.max(8, Math.floor(unit / 24));
          const writes: Promise<void>[] = [];
          const end = Math.min(unit * 7, expected.length - step);
          for (let at = Math.max(0, end - unit * 3); at < end; at += step) {
            const bytes = pattern(4, at, step - 3);
            expected.set(bytes, at);
            writes.push(disk.write(bytes, at));
          }
          await Promise.all(writes);
          mustEqual(await readAll(disk), expected, 'after all writes');
          await mustLast(subject, disk, storage, expected, sample.backing);
        }),
      );
    }
    addMixed(group, subject, start);
  }
  return group.checks;
}

/** Batches of random requests together, overlapping ones included, with reads and flushes among them. */
function addMixed(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  for (let round = 0; round < subject.effort(4); round += 1) {
    const cacheSize = round % 2 === 0 ? undefined : 1;
    const seed = subject.seed(`mixed ${round} ${name}`);
    group.add(
      'together-3',
      `everything at once, seed ${seed}: ${name}`,
      needing(subject, 'write', async () => {
        const { image, content, backing } = await get();
        const random = randomSource(seed);
        const storage = memoryOf(image);
        const slow = new TracingStorage(storage, { delay: () => Math.floor(random() * 4) });
        const disk = await subject.disk(slow, { writable: true, backing, cacheSize });
        const model = new DiskModel(content.slice());
        const unit = await subject.unit();
        for (let batch = 0; batch < 6; batch += 1) {
          await runBatch(disk, model, randomChanges(random, unit, disk.size), random);
        }
        mustEqual(await readAll(disk), model.bytes, 'in the end');
        await mustLast(subject, disk, storage, model.bytes, backing);
      }),
    );
  }
}

async function runBatch(
  disk: Disk,
  model: DiskModel,
  changes: readonly Change[],
  random: () => number,
): Promise<void> {
  const work: Promise<void>[] = changes.map((change) => carryOut(disk, change));
  for (let count = 0; count < 6; count += 1) {
    const offset = Math.floor(random() * disk.size);
    const buffer = new Uint8Array(Math.floor(random() * Math.min(60_000, disk.size - offset)));
    work.push(disk.read(buffer, offset).then(() => model.checkRead(offset, buffer, changes)));
  }
  if (random() < 0.5) {
    work.push(disk.flush());
  }
  await Promise.all(work);
  await model.settle(changes, async (offset, length) => {
    const found = new Uint8Array(length);
    await disk.read(found, offset);
    return found;
  });
}

/** Makes one change. */
export function carryOut(disk: Disk, { kind, offset, length, bytes }: Change): Promise<void> {
  if (bytes !== undefined) {
    return disk.write(bytes, offset);
  }
  return kind === 'zero' ? disk.writeZeroes(offset, length) : disk.discard(offset, length);
}

/** Some changes all over a disk; they may overlap. */
function randomChanges(random: () => number, unit: number, size: number): Change[] {
  return Array.from({ length: 2 + Math.floor(random() * 8) }, () =>
    randomChange(random, unit, size),
  );
}

/** A change of any kind and shape: half of them of whole clusters. */
export function randomChange(random: () => number, unit: number, size: number): Change {
  const wanted = Math.floor(random() * size);
  const offset = random() < 0.5 ? wanted - (wanted % unit) : wanted;
  const length = Math.min(
    size - offset,
    random() < 0.5 ? unit * (1 + Math.floor(random() * 4)) : 1 + Math.floor(random() * unit * 2),
  );
  const kind = random();
  if (kind < 0.6) {
    const bytes = pattern(Math.floor(random() * 1e6), offset, length);
    return { kind: 'write', offset, length, bytes };
  }
  return { kind: kind < 0.8 ? 'zero' : 'discard', offset, length };
}
