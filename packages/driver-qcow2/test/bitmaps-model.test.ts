import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Disk, MemoryStorage, OptionValue } from '@lamella/core';
import fc from 'fast-check';
import t from 'tap';
import { rangesFrom, storedBitmaps, unitRanges } from './support/bitmaps.js';
import { filled, newImage, openDisk } from './support/disks.js';
import { editable } from './support/mended.js';
import { directory, HAVE_QEMU, qemuCheck } from './support/qemu.js';
import { verify } from './support/verify.js';

/** Bytes that the model tells apart. */
const SECTOR = 512;
const SIZE = 600 * SECTOR;
const NAMES = ['a', 'b', 'c', 'ü'];
const GRANULARITIES = [512, 1024, 4096, 65536, 2 ** 31];

interface Bitmap {
  readonly granularity: number;
  recording: boolean;
  /** Granules, not sectors: merging across granularities makes them whole. */
  dirty: Set<number>;
}

type Model = Map<string, Bitmap>;

interface Step {
  readonly kind:
    | 'write'
    | 'zero'
    | 'discard'
    | 'compressed'
    | 'add'
    | 'remove'
    | 'clear'
    | 'enable'
    | 'disable'
    | 'merge'
    | 'flush'
    | 'reopen';
  readonly start: number;
  readonly length: number;
  readonly name: string;
  readonly other: string;
  readonly granularity: number;
  readonly recording: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(
    ...(['write', 'write', 'write', 'zero', 'discard', 'compressed', 'add', 'add'] as const),
    ...(['remove', 'clear', 'enable', 'disable', 'merge', 'flush', 'reopen'] as const),
  ),
  start: fc.nat(SIZE / SECTOR - 1),
  length: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 600 })),
  name: fc.constantFrom(...NAMES),
  other: fc.constantFrom(...NAMES),
  granularity: fc.constantFrom(...GRANULARITIES),
  recording: fc.boolean(),
});

/** A disk that is reopened and a model of its bitmaps. */
class Pair {
  readonly #storage: MemoryStorage;
  readonly #model: Model = new Map();
  #disk: Disk;

  constructor(storage: MemoryStorage, disk: Disk) {
    this.#storage = storage;
    this.#disk = disk;
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const one of steps) {
      await this.#apply(one);
    }
    await this.#compare();
    await this.#disk.close();
    await this.#compareStored();
  }

  async #apply(step: Step): Promise<void> {
    const { kind, name } = step;
    const { bitmaps } = this.#disk;
    const known = this.#model.get(name);
    switch (kind) {
      case 'flush':
        return this.#disk.flush();
      case 'reopen':
        await this.#compare();
        await this.#disk.close();
        await this.#compareStored();
        this.#disk = await openDisk([this.#storage], { writable: true });
        return this.#compare();
      case 'add':
        return this.#add(step);
      case 'remove':
        await settled(bitmaps.remove(name), known !== undefined);
        this.#model.delete(name);
        return;
      case 'clear':
        await settled(bitmaps.clear(name), known !== undefined);
        known?.dirty.clear();
        return;
      case 'enable':
      case 'disable':
        await settled(bitmaps[kind](name), known !== undefined);
        if (known !== undefined) {
          known.recording = kind === 'enable';
        }
        return;
      case 'merge':
        return this.#merge(name, step.other);
      default:
        return this.#change(kind, step);
    }
  }

  async #add({ name, granularity, recording }: Step): Promise<void> {
    await settled(this.#disk.bitmaps.add({ name, granularity, recording }), !this.#model.has(name));
    if (!this.#model.has(name)) {
      this.#model.set(name, { granularity, recording, dirty: new Set() });
    }
  }

  async #merge(target: string, source: string): Promise<void> {
    const [to, from] = [this.#model.get(target), this.#model.get(source)];
    const possible = to !== undefined && from !== undefined;
    await settled(this.#disk.bitmaps.merge(target, [source]), possible);
    if (possible) {
      for (const granule of [...from.dirty]) {
        const offset = granule * from.granularity;
        mark(to, offset, Math.min(from.granularity, SIZE - offset));
      }
    }
  }

  async #change(kind: 'write' | 'zero' | 'discard' | 'compressed', step: Step): Promise<void> {
    const unit = Number(this.#disk.layers[0]?.options.cluster_size);
    const whole = kind === 'discard' || kind === 'zero' || kind === 'compressed';
    const at = step.start * SECTOR;
    const offset = whole ? at - (at % unit) : at;
    const wanted = step.length * SECTOR;
    const length = Math.min(
      SIZE - offset,
      kind === 'compressed' ? unit : whole ? Math.ceil(wanted / unit) * unit : wanted,
    );
    await {
      write: () => this.#disk.write(filled(length, 1 + (step.length % 250)), offset),
      zero: () => this.#disk.writeZeroes(offset, length, { unmap: step.recording }),
      discard: () => this.#disk.discard(offset, length),
      compressed: () => this.#disk.writeCompressed(filled(length, 7), offset),
    }[kind]();
    for (const bitmap of this.#model.values()) {
      if (bitmap.recording) {
        mark(bitmap, offset, length);
      }
    }
  }

  async #compare(): Promise<void> {
    const list = this.#disk.bitmaps.list();
    same(
      list,
      [...this.#model].map(([name, { granularity, recording }]) => ({
        name,
        granularity,
        recording,
        inconsistent: false,
      })),
    );
    for (const [name, bitmap] of this.#model) {
      same(await rangesFrom(this.#disk, name), expected(bitmap));
    }
  }

  async #compareStored(): Promise<void> {
    same(
      (await storedBitmaps(this.#storage)).map(({ table: _, ...bitmap }) => bitmap),
      [...this.#model].map(([name, bitmap]) => ({
        name,
        inUse: false,
        auto: bitmap.recording,
        granularity: bitmap.granularity,
        ranges: expected(bitmap),
      })),
    );
    same(await verify(this.#storage), { corruptions: [], leaks: 0 });
  }
}

function mark(bitmap: Bitmap, offset: number, length: number): void {
  const { granularity, dirty } = bitmap;
  for (let at = offset - (offset % granularity); at < offset + length; at += granularity) {
    dirty.add(at / granularity);
  }
}

function expected({ granularity, dirty }: Bitmap) {
  const set = Array.from({ length: Math.ceil(SIZE / granularity) }, (_, index) => dirty.has(index));
  return unitRanges(set, granularity, SIZE);
}

/** A call that must succeed, or must fail because a bitmap is not there or is there already. */
async function settled(call: Promise<void>, succeeds: boolean): Promise<void> {
  const code = await call.then(
    () => undefined,
    (error: { readonly code?: string }) => error.code ?? String(error),
  );
  if (succeeds ? code !== undefined : code !== 'NOT_FOUND' && code !== 'ALREADY_EXISTS') {
    throw new Error(`ended with ${code}`);
  }
}

function same(found: unknown, wanted: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`found ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
  }
}

const SHAPES: readonly Record<string, OptionValue>[] = [
  { cluster_size: 512 },
  { cluster_size: '4k', refcount_bits: 1 },
  { cluster_size: '64k' },
  { cluster_size: '16k', extended_l2: true },
];

for (const options of SHAPES) {
  t.test(`bitmaps record like a model: ${JSON.stringify(options)}`, async (t) => {
    const path = join(directory(t), 'image');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
        const storage = await newImage(SIZE, options);
        await new Pair(storage, await openDisk([storage], { writable: true })).run(steps);
        if (HAVE_QEMU && steps.length % 16 === 0) {
          writeFileSync(path, (await editable(storage)).bytes);
          same(qemuCheck(path).code, 0);
        }
      }),
      { numRuns: 100 },
    );
  });
}
