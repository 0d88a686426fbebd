import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Disk, MemoryStorage, type OptionValue, WrappedStorage } from '@lamella/core';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { newPair, openPair, type Pair } from './support/data-files.js';
import { content } from './support/disks.js';
import { directory, qemuCheck, qemuImg, qemuTest, saveFile } from './support/qemu.js';
import { verify } from './support/verify.js';

/** Neither a multiple of a cluster nor of a subcluster. */
const SIZE = 300 * 1024 + 512;

/** What was in the data file before the image was made: must never be seen. */
const STALE = 0xee;

interface Step {
  readonly kind: 'write' | 'zero' | 'keep-zero' | 'discard' | 'flush' | 'reopen';
  readonly offset: number;
  readonly length: number;
  readonly value: number;
}

const place = fc.oneof(
  fc.nat(SIZE - 1),
  fc.nat(SIZE >> 12).map((page) => Math.min(SIZE - 1, page << 12)),
);
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom<Step['kind']>(
    'write',
    'write',
    'write',
    'zero',
    'keep-zero',
    'discard',
    'flush',
    'reopen',
  ),
  offset: place,
  length: fc.oneof(
    fc.integer({ min: 1, max: 70_000 }),
    fc.integer({ min: 1, max: 17 }).map((pages) => pages << 12),
  ),
  value: fc.integer({ min: 1, max: 200 }),
});

async function apply(disk: Disk, model: Uint8Array, { kind, ...step }: Step): Promise<void> {
  const { offset, value } = step;
  const length = Math.min(step.length, SIZE - offset);
  switch (kind) {
    case 'write':
      model.fill(value, offset, offset + length);
      await disk.write(new Uint8Array(length).fill(value), offset);
      return;
    case 'zero':
    case 'keep-zero':
      model.fill(0, offset, offset + length);
      await disk.writeZeroes(offset, length, { unmap: kind === 'zero' });
      return;
    case 'discard': {
      await disk.discard(offset, length);
      const seen = new Uint8Array(length);
      await disk.read(seen, offset);
      const wrong = seen.findIndex((byte, at) => byte !== 0 && byte !== model[offset + at]);
      if (wrong >= 0) {
        throw new Error(`a discard left ${seen[wrong]} at ${offset + wrong}`);
      }
      model.set(seen, offset);
      return;
    }
    case 'flush':
      await disk.flush();
      return;
    default:
  }
}

async function run(pair: Pair, steps: readonly Step[]): Promise<Uint8Array> {
  const model = new Uint8Array(SIZE);
  let disk = await openPair(pair, { writable: true });
  for (const each of steps) {
    if (each.kind === 'reopen') {
      await disk.close();
      disk = await openPair(pair, { writable: true });
    } else {
      await apply(disk, model, each);
    }
  }
  await disk.close();
  return model;
}

/** What is wrong with a pair that is to hold the model, or undefined. */
async function problem(pair: Pair, model: Uint8Array, raw: boolean): Promise<string | undefined> {
  const { corruptions, leaks } = await verify(pair.image);
  if (corruptions.length + leaks > 0) {
    return `${corruptions.join('; ')}, ${leaks} leaks`;
  }
  const disk = await openPair(pair);
  const seen = await content(disk);
  await disk.close();
  if (Buffer.compare(seen, model) !== 0) {
    const at = seen.findIndex((byte, i) => byte !== model[i]);
    return `the disk holds ${seen[at]} at ${at}, not ${model[at]}`;
  }
  if (pair.data.size !== SIZE) {
    return `the data file has ${pair.data.size} bytes`;
  }
  if (raw) {
    const bytes = new Uint8Array(SIZE);
    await pair.data.read(bytes, 0);
    const at = bytes.findIndex((byte, i) => byte !== model[i]);
    if (at >= 0) {
      return `the data file holds ${bytes[at]} at ${at}, not ${model[at]}`;
    }
  }
  return undefined;
}

/** A raw data file must be all zeroes to begin with; what is in another one is nobody's business. */
async function make(options: Record<string, OptionValue>): Promise<Pair> {
  const raw = options.data_file_raw === true;
  const stale = new MemoryStorage();
  stale.write(new Uint8Array(SIZE).fill(STALE), 0);
  return raw ? newPair(SIZE, options) : newPair(SIZE, { ...options, keep_data_file: true }, stale);
}

async function compareWithQemu(
  t: Test,
  pair: Pair,
  model: Uint8Array,
  raw: boolean,
): Promise<void> {
  const dir = directory(t);
  const path = join(dir, 'a.qcow2');
  await saveFile(pair.image, path);
  await saveFile(pair.data, join(dir, 'new.data'));
  writeFileSync(join(dir, 'model'), model);
  const image = `json:{"driver":"qcow2","file.filename":"${path}","data-file.filename":"${join(dir, 'new.data')}"}`;
  t.match(qemuImg('compare', '-F', 'raw', image, join(dir, 'model')), /identical/);
  t.equal(qemuCheck(image).code, 0, qemuCheck(image).text);
  if (raw) {
    t.match(
      qemuImg('compare', '-s', '-f', 'raw', '-F', 'raw', join(dir, 'new.data'), join(dir, 'model')),
      /identical/,
    );
  }
}

for (const options of [
  { cluster_size: '4k' },
  { cluster_size: '64k' },
  { cluster_size: '16k', extended_l2: true },
  { cluster_size: '64k', extended_l2: true },
  { cluster_size: '4k', data_file_raw: true },
  { cluster_size: '64k', data_file_raw: true },
  { cluster_size: '16k', extended_l2: true, data_file_raw: true },
  { cluster_size: '64k', extended_l2: true, data_file_raw: true },
]) {
  const raw = options.data_file_raw === true;
  t.test(`a data file agrees with a plain array: ${JSON.stringify(options)}`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const pair = await make(options);
        const wrong = await problem(pair, await run(pair, steps), raw);
        if (wrong !== undefined) {
          throw new Error(wrong);
        }
      }),
      { numRuns: 60 },
    );
    t.pass('the disk and the data file agreed with it');
  });

  t.test(`QEMU agrees: ${JSON.stringify(options)}`, qemuTest, async (t) => {
    for (const steps of fc.sample(fc.array(step, { minLength: 30, maxLength: 40 }), {
      numRuns: 3,
      seed: 7,
    })) {
      const pair = await make(options);
      await compareWithQemu(t, pair, await run(pair, steps), raw);
    }
  });
}

/** Takes its time, so that requests overlap. */
class SlowStorage extends WrappedStorage {
  override async write(bytes: Uint8Array, offset: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.inner.write(bytes, offset);
  }

  override async writev(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    await this.write(Buffer.concat(pieces), offset);
  }

  override async writeZeroes(offset: number, length: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.inner.writeZeroes(offset, length);
  }

  override async discard(offset: number, length: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.inner.discard(offset, length);
  }

  override async read(buffer: Uint8Array, offset: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.inner.read(buffer, offset);
  }
}

/** Rounds of requests that run at once, in the order of the disk: they share clusters but no byte. */
const rounds = fc.array(
  fc.array(
    fc.record({
      kind: fc.constantFrom<Step['kind']>('write', 'write', 'zero', 'keep-zero', 'flush'),
      gap: fc.oneof(fc.constant(0), fc.nat(9000)),
      length: fc.integer({ min: 1, max: 30_000 }),
      value: fc.integer({ min: 1, max: 200 }),
    }),
    { maxLength: 12 },
  ),
  { minLength: 1, maxLength: 6 },
);

for (const options of [
  { cluster_size: '4k' },
  { cluster_size: '16k', extended_l2: true },
  { cluster_size: '4k', data_file_raw: true },
  { cluster_size: '16k', extended_l2: true, data_file_raw: true },
]) {
  t.test(`requests at once: ${JSON.stringify(options)}`, async (t) => {
    await fc.assert(
      fc.asyncProperty(rounds, async (steps) => {
        const { image, data } = await make(options);
        const pair = { image, data: new SlowStorage(data) };
        const disk = await openPair(pair, { writable: true });
        const model = new Uint8Array(SIZE);
        for (const round of steps) {
          const done: Promise<void>[] = [];
          let end = 0;
          for (const { kind, gap, length, value } of round) {
            const offset = end + gap;
            if (offset < SIZE) {
              end = Math.min(SIZE, offset + length);
              done.push(apply(disk, model, { kind, offset, length, value }));
            }
          }
          // Drops whole clusters between the others and writes them again, right behind each other.
          const free = Math.ceil(end / 16_384) * 16_384;
          if (free + 16_384 <= SIZE) {
            done.push(disk.discard(free, 16_384));
            done.push(
              apply(disk, model, { kind: 'write', offset: free, length: 16_384, value: 9 }),
            );
          }
          await Promise.all(done);
        }
        await disk.close();
        const wrong = await problem({ image, data }, model, options.data_file_raw === true);
        if (wrong !== undefined) {
          throw new Error(wrong);
        }
      }),
      { numRuns: 60 },
    );
    t.pass('the disk agreed with a plain array');
  });
}
