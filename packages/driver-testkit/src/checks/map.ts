import { randomSource } from '../model/bytes.js';
import { FaultyStorage } from '../storage/faulty-storage.js';
import { TracingStorage } from '../storage/tracing-storage.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustBeTyped } from './check.js';
import { memoryOf } from './disks.js';
import {
  describeByte,
  describeRange,
  mapRange,
  mustBeExtent,
  mustBePlain,
  mustLieWithin,
} from './extents.js';

const RANDOM_RANGES = 100;

/** What `map` answers. */
export function mapChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('map');
  for (const sample of subject.samples) {
    addCoverage(group, subject, sample);
    addAgreement(group, subject, sample);
    addTogether(group, subject, sample);
    addFailure(group, subject, sample);
  }
  return group.checks;
}

function addCoverage(group: CheckGroup, subject: Subject, sample: NamedSample): void {
  const { name } = sample;
  group.add('map-1', `the whole disk in one: ${name}`, async () => {
    const image = await subject.open(memoryOf((await sample.get()).image));
    await mapRange(image, 0, image.size);
    await image.close();
  });
  group.add('map-1', `every sector by itself: ${name}`, async () => {
    const image = await subject.open(memoryOf((await sample.get()).image));
    for (let offset = 0; offset < image.size; offset += 512) {
      await mapRange(image, offset, Math.min(image.size, offset + 512));
    }
    await image.close();
  });
  group.add('map-1', `single bytes: ${name}`, async () => {
    const image = await subject.open(memoryOf((await sample.get()).image));
    const random = randomSource(subject.seed(`bytes ${name}`));
    const positions = Array.from({ length: RANDOM_RANGES }, () =>
      Math.floor(random() * image.size),
    );
    for (const position of [0, image.size - 1, ...positions].filter(
      (at) => at >= 0 && at < image.size,
    )) {
      mustBeExtent(await image.map(position, 1), 1, position);
    }
    await image.close();
  });
  group.add('map-2', `random ranges: ${name}`, async () => {
    const image = await subject.open(memoryOf((await sample.get()).image));
    const random = randomSource(subject.seed(`ranges ${name}`));
    for (let round = 0; round < RANDOM_RANGES && image.size > 0; round += 1) {
      const offset = Math.floor(random() * image.size);
      const length = 1 + Math.floor(random() * (image.size - offset));
      mustBeExtent(await image.map(offset, length), length, offset);
    }
    await image.close();
  });
  group.add('map-3', `asked again: ${name}`, async () => {
    const image = await subject.open(memoryOf((await sample.get()).image));
    const step = Math.max(512, Math.floor(image.size / 200));
    for (let offset = 0; offset < image.size; offset += step) {
      await image.map(offset, 1);
      mustBePlain(image.map(offset, 1), `the second map(${offset}, 1)`);
    }
    await image.close();
  });
  group.add('map-4', `data lies in the storage: ${name}`, async () => {
    const image = await subject.open(memoryOf((await sample.get()).image));
    for (const mapped of await mapRange(image, 0, image.size)) {
      mustLieWithin(mapped, Math.max(512, image.clusterSize));
    }
    await image.close();
  });
}

function addAgreement(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  group.add('map-5', `asked in pieces: ${name}`, async () => {
    const storage = memoryOf((await get()).image);
    const image = await subject.open(storage);
    const whole = await describeRange(image, storage, 0, image.size, 512);
    for (const [index, expected] of whole.entries()) {
      const found = describeByte(await image.map(index * 512, 1), 0, storage);
      must(found === expected, `byte ${index * 512} is ${found} alone, ${expected} in the whole`);
    }
    await image.close();
  });
  group.add('map-5', `asked for from the middle: ${name}`, async () => {
    const storage = memoryOf((await get()).image);
    const image = await subject.open(storage);
    const random = randomSource(subject.seed(`middle ${name}`));
    for (let round = 0; round < RANDOM_RANGES && image.size > 1; round += 1) {
      const offset = Math.floor(random() * (image.size - 1));
      const extent = await image.map(offset, image.size - offset);
      const within = Math.floor(random() * extent.length);
      const length = 1 + Math.floor(random() * (image.size - offset - within));
      const inside = await image.map(offset + within, length);
      const [found, expected] = [
        describeByte(inside, 0, storage),
        describeByte(extent, within, storage),
      ];
      must(
        found === expected,
        `byte ${offset + within} is ${found}, but ${expected} when asked from ${offset}`,
      );
    }
    await image.close();
  });
}

function addTogether(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  for (const [cold, cacheSize] of [
    ['a cold cache', undefined],
    ['the smallest cache', 1],
  ] as const) {
    group.add('map-6', `all at once, ${cold}: ${name}`, async () => {
      const bytes = (await get()).image;
      const alone = memoryOf(bytes);
      const single = await subject.open(alone);
      const step = Math.max(512, Math.floor(single.size / 300));
      const expected: string[] = [];
      for (let offset = 0; offset < single.size; offset += step) {
        expected.push(describeByte(await single.map(offset, 1), 0, alone));
      }
      await single.close();
      const slow = new TracingStorage(memoryOf(bytes), { delay: (_, id) => id % 4 });
      const image = await subject.open(slow, { cacheSize });
      const answers = await Promise.all(expected.map((_, index) => image.map(index * step, 1)));
      for (const [index, extent] of answers.entries()) {
        const found = describeByte(extent, 0, slow);
        must(
          found === expected[index],
          `byte ${index * step} is ${found}, alone ${expected[index]}`,
        );
      }
      await image.close();
    });
  }
}

function addFailure(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  group.add('map-7', `a read that fails once: ${name}`, async () => {
    const bytes = (await get()).image;
    const healthy = memoryOf(bytes);
    const reference = await subject.open(healthy);
    const faulty = new FaultyStorage(memoryOf(bytes));
    const image = await subject.open(faulty);
    const step = Math.max(512, Math.floor(image.size / 50));
    let failed = 0;
    for (let offset = 0; offset < image.size; offset += step) {
      faulty.fails = ({ method }) => method === 'read';
      try {
        await image.map(offset, 1);
      } catch (error) {
        const { code } = mustBeTyped(error, 'map');
        must(code === 'IO_ERROR', `the error of the storage became ${code}`);
        failed += 1;
      }
      faulty.fails = () => false;
      const [found, expected] = [await image.map(offset, 1), await reference.map(offset, 1)];
      must(
        describeByte(found, 0, faulty) === describeByte(expected, 0, healthy),
        `byte ${offset} is ${describeByte(found, 0, faulty)} after a failure`,
      );
    }
    await image.close();
    await reference.close();
    return failed === 0 ? 'nothing is read to map' : undefined;
  });
}
