import type { Disk, Image } from '@lamella/core';
import { MemoryStorage } from '@lamella/core';
import { firstDifference, pattern, randomSource } from '../model/bytes.js';
import { BoundedStorage } from '../storage/bounded-storage.js';
import type { SampleImage } from '../subject/manifest.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustBeTyped, under } from './check.js';
import { mustBeExtent } from './extents.js';

const MIB = 2 ** 20;
/** Most calls on the storage that an operation over a damaged image may make. */
const MAX_CALLS = 300_000;
/** Longest single read or write: a table may be large, but not that large. */
const MAX_LENGTH = 40 * MIB;
/** Most bytes of memory that an operation may add. */
const MAX_MEMORY = 256 * MIB;
/** Extents that are looked at. */
const MAX_EXTENTS = 400;
/** Bytes of a disk that are read. */
const READ = MIB / 4;

const DAMAGES = 40;
const CUTS = 16;

/** Cut and damaged images. */
export function damageChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('damage');
  const last = subject.samples.at(-1);
  const { takesAnything, effort = 1 } = subject.manifest;
  if (last !== undefined && takesAnything !== true && effort >= 1) {
    addHeadBytes(group, subject, last);
  }
  for (const sample of subject.samples) {
    addCuts(group, subject, sample);
    for (let round = 0; round < subject.effort(DAMAGES); round += 1) {
      const seed = subject.seed(`damage ${round} ${sample.name}`);
      group.add('damage-2', `random damage, seed ${seed}: ${sample.name}`, async () => {
        const good = await sample.get();
        await mustBear(subject, { ...good, image: damaged(good.image, randomSource(seed)) }, seed);
      });
    }
  }
  return group.checks;
}

function addCuts(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  const cut = (what: string, lengths: (length: number) => readonly number[]) => {
    group.add('damage-1', `cut to ${what}: ${name}`, async () => {
      const good = await get();
      for (const length of lengths(good.image.length)) {
        if (length >= 0 && length < good.image.length) {
          await mustGiveOwnBytes(subject, good, length);
        }
      }
    });
  };
  cut('a few bytes', () => [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31]);
  cut('a part of a header', () => [32, 47, 63, 64, 71, 72, 73, 95, 100, 103, 104, 105, 111, 112]);
  cut('about a sector', () => [127, 128, 255, 256, 511, 512, 513, 1023, 1024, 1025]);
  cut('a few sectors', () => [2048, 4095, 4096, 4097, 8192, 16384, 32768, 65535, 65536, 65537]);
  cut('a share of the file', (length) =>
    [0.25, 0.5, 0.75].map((part) => Math.floor(length * part)),
  );
  cut('almost all', (length) => [
    length - 4097,
    length - 513,
    length - 512,
    length - 2,
    length - 1,
  ]);
  cut('random lengths', (length) => {
    const random = randomSource(subject.seed(`cut ${name}`));
    return Array.from({ length: CUTS }, () => Math.floor(random() * length));
  });
}

/** Every byte of the head in turn, to the values that offsets, sizes and flags suffer most from. */
function addHeadBytes(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  for (let from = 0; from < 128; from += 16) {
    group.add('damage-2', `bytes ${from} to ${from + 15} in turn: ${name}`, async () => {
      const good = await get();
      for (let at = from; at < Math.min(from + 16, good.image.length); at += 1) {
        for (const value of [0, 1, 0xff]) {
          const image = good.image.slice();
          image[at] = value;
          await mustBear(subject, { ...good, image }, at * 256 + value);
        }
      }
    });
  }
}

/** A few bytes changed, most of them where metadata is: early, and in the words that others refer to. */
function damaged(image: Uint8Array, random: () => number): Uint8Array {
  const bytes = image.slice();
  for (let count = 1 + Math.floor(random() * 6); count > 0; count -= 1) {
    const reach = random() < 0.4 ? 512 : random() < 0.7 ? 8192 : bytes.length;
    const at = Math.floor(random() * Math.min(reach, bytes.length));
    const width = random() < 0.5 ? 1 : 8;
    const kind = random();
    for (let i = at; i < Math.min(bytes.length, at + width); i += 1) {
      bytes[i] = kind < 0.25 ? 0 : kind < 0.5 ? 0xff : Math.floor(random() * 256);
    }
  }
  return bytes;
}

/** A storage that bounds what may be done with a damaged image. */
function bounded(image: Uint8Array, mayChange: boolean): BoundedStorage {
  const memory = MemoryStorage.from(image, {
    location: 'memory:damaged',
    maxBytes: image.length + 64 * MIB,
  });
  return new BoundedStorage(memory, { maxCalls: MAX_CALLS, maxLength: MAX_LENGTH, mayChange });
}

/** @throws RuleViolation when a bound was passed, also if the driver made another error of it */
async function within(storage: BoundedStorage, body: () => Promise<void>): Promise<void> {
  const before = process.memoryUsage().arrayBuffers;
  try {
    await body();
  } catch (error) {
    mustKeepBounds(storage);
    throw error;
  }
  mustKeepBounds(storage);
  const grown = process.memoryUsage().arrayBuffers - before;
  await under('damage-4', async () => {
    must(grown <= MAX_MEMORY, `${Math.round(grown / MIB)} MiB of memory were taken`);
  });
}

function mustKeepBounds({ exceeded }: BoundedStorage): void {
  if (exceeded !== undefined) {
    throw exceeded;
  }
}

/** Typed errors are what damage may lead to. */
async function typed(what: string, action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    mustBeTyped(error, what);
    return false;
  }
}

/** Everything that can be tried with a damaged image ends, with an answer or a typed error. */
async function mustBear(subject: Subject, sample: SampleImage, seed: number): Promise<void> {
  const storage = bounded(sample.image, false);
  await bearing(storage, () => lookAt(subject, sample, storage));
  if (subject.manifest.create !== undefined && seed % 2 === 0) {
    const changing = bounded(sample.image, true);
    await bearing(changing, () => changeIt(subject, sample, changing, seed));
  }
  const checked = bounded(sample.image, seed % 3 === 0);
  await bearing(checked, () => check(subject, checked, seed % 3 === 0));
}

async function bearing(storage: BoundedStorage, body: () => Promise<void>): Promise<void> {
  try {
    await within(storage, body);
  } catch (error) {
    const rule = storage.exceeded?.message.includes('bytes at once') ? 'damage-4' : 'damage-3';
    if (storage.exceeded !== undefined) {
      await under(rule, () => Promise.reject(error));
    }
    throw error;
  }
}

async function lookAt(
  subject: Subject,
  { backing }: SampleImage,
  storage: BoundedStorage,
): Promise<void> {
  let image: Image | undefined;
  await typed('open', async () => {
    image = await subject.open(storage);
  });
  if (image === undefined) {
    return;
  }
  const opened = image;
  await typed('map', () => mapSome(opened));
  const disk = subject.diskOf(opened, storage, { writable: false, backing });
  await readSome(disk);
  await typed('close', () => disk.close());
}

async function mapSome(image: Image): Promise<void> {
  const { size } = image;
  must(Number.isSafeInteger(size) && size >= 0, `the size is ${size}`);
  let position = 0;
  for (let count = 0; count < MAX_EXTENTS && position < size; count += 1) {
    const extent = await image.map(position, size - position);
    mustBeExtent(extent, size - position, position);
    position += extent.length;
  }
  if (size > 0) {
    mustBeExtent(await image.map(size - 1, 1), 1, size - 1);
  }
}

async function readSome(disk: Disk): Promise<void> {
  const length = Math.min(READ, disk.size);
  await typed('read', () => disk.read(new Uint8Array(length), 0));
  await typed('read', () => disk.read(new Uint8Array(length), disk.size - length));
}

async function changeIt(
  subject: Subject,
  { backing }: SampleImage,
  storage: BoundedStorage,
  seed: number,
): Promise<void> {
  let disk: Disk | undefined;
  await typed('open', async () => {
    disk = await subject.disk(storage, { writable: true, backing });
  });
  if (disk === undefined) {
    return;
  }
  const opened = disk;
  const { size } = opened;
  const random = randomSource(seed);
  for (let count = 0; count < 6; count += 1) {
    const offset = Math.floor(random() * Math.min(size, 4 * MIB));
    const length = Math.min(5000, size - offset);
    await typed('write', () => opened.write(pattern(count, offset, length), offset));
    await typed('zero', () => opened.writeZeroes(offset, length));
    await typed('discard', () => opened.discard(offset, length));
  }
  await typed('flush', () => opened.flush());
  await typed('close', () => opened.close());
}

async function check(subject: Subject, storage: BoundedStorage, repair: boolean): Promise<void> {
  if (!(await subject.can('check'))) {
    return;
  }
  await under('check-4', async () => {
    await typed('open for a check', async () => {
      const image = await subject.open(storage, { forCheck: true, writable: repair });
      await typed('check', async () => image.check?.(repair ? { repair: 'all' } : {}));
      await typed('close', () => image.close());
    });
  });
}

/** A cut image opens or not; what is read of it without an error is what it held, or zero. */
async function mustGiveOwnBytes(
  subject: Subject,
  { image, content, backing }: SampleImage,
  length: number,
): Promise<void> {
  const storage = bounded(image.slice(0, length), false);
  await bearing(storage, async () => {
    await typed('open', async () => {
      const disk = await subject.disk(storage, { backing });
      must(disk.size <= content.length, `cut to ${length} bytes it shows ${disk.size}`);
      for (let offset = 0; offset < disk.size; offset += 4096) {
        const buffer = new Uint8Array(Math.min(4096, disk.size - offset));
        if (await typed('read', () => disk.read(buffer, offset))) {
          mustBeOwn(buffer, content.subarray(offset, offset + buffer.length), offset, length);
        }
      }
      await disk.close();
    });
  });
}

function mustBeOwn(found: Uint8Array, own: Uint8Array, offset: number, length: number): void {
  if (firstDifference(found, own) === undefined) {
    return;
  }
  const foreign = found.findIndex((byte, index) => byte !== 0 && byte !== own[index]);
  must(
    foreign < 0,
    `cut to ${length} bytes, byte ${offset + foreign} is ${found[foreign]}, not ${own[foreign]} or 0`,
  );
}
