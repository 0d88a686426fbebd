import { join } from 'node:path';
import type { Disk, MemoryStorage, OptionValue } from '@lamella/core';
import { CrashStorage } from '@lamella/driver-testkit';
import t, { type Test } from 'tap';
import { type StoredBitmap, storedBitmaps } from './support/bitmaps.js';
import { filled, newImage, openDisk, randomSource } from './support/disks.js';
import { directory, HAVE_QEMU, qemuCheck, saveFile } from './support/qemu.js';
import { verify } from './support/verify.js';

const UNIT = 16384;
const UNITS = 40;
const NAMES = ['a', 'b', 'c'];
/** How likely a change that was not flushed survives the crash. */
const CHANCES = [0, 0.5, 1];

/** What a bitmap may be on the disk from one moment to another. */
interface Generation {
  readonly start: number;
  end: number;
  readonly present: boolean;
  /** What the units held when the bitmap had recorded nothing. */
  readonly base: readonly number[];
}

/** What happened, by moments of the storage. */
class History {
  readonly values: number[] = Array.from({ length: UNITS }, () => 0);
  readonly recording = new Set<string>();
  readonly #generations = new Map<string, Generation[]>(
    NAMES.map((name) => [
      name,
      [{ start: 0, end: Number.POSITIVE_INFINITY, present: false, base: [] }],
    ]),
  );
  readonly #unrecorded: {
    readonly name: string;
    readonly unit: number;
    readonly moment: number;
  }[] = [];

  /** A bitmap begins anew, or goes, somewhen between two moments. */
  renew(name: string, present: boolean, start: number, end: number): void {
    const generations = this.#generations.get(name) ?? [];
    const last = generations.at(-1);
    if (last !== undefined) {
      last.end = end;
    }
    const base = [...this.values];
    generations.push({ start, end: Number.POSITIVE_INFINITY, present, base });
  }

  isPresent(name: string): boolean {
    return this.#generations.get(name)?.at(-1)?.present === true;
  }

  write(unit: number, value: number, moment: number): void {
    this.values[unit] = value;
    for (const name of NAMES.filter((one) => !this.recording.has(one))) {
      this.#unrecorded.push({ name, unit, moment });
    }
  }

  /** What is wrong with a bitmap after a crash; undefined if nothing. */
  problem(
    name: string,
    found: StoredBitmap | undefined,
    units: readonly number[],
    moment: number,
  ): string | undefined {
    const candidates = (this.#generations.get(name) ?? []).filter(
      ({ start, end }) => start <= moment && moment < end,
    );
    if (found === undefined) {
      return candidates.some(({ present }) => !present) ? undefined : 'is lost';
    }
    const present = candidates.filter((one) => one.present);
    if (present.length === 0) {
      return 'was never there';
    }
    if (found.inUse) {
      return undefined;
    }
    const missing = present.map((one) => this.#missing(name, one, found, units));
    return missing.some(({ length }) => length === 0)
      ? undefined
      : `does not tell of units ${missing[0]?.join(', ')}`;
  }

  #missing(
    name: string,
    { base, start }: Generation,
    { ranges }: StoredBitmap,
    units: readonly number[],
  ): number[] {
    return [...units.keys()].filter(
      (unit) =>
        units[unit] !== base[unit] &&
        !this.#unrecorded.some(
          (write) => write.name === name && write.unit === unit && write.moment >= start,
        ) &&
        !ranges.some(
          ({ offset, length }) => offset <= unit * UNIT && unit * UNIT < offset + length,
        ),
    );
  }
}

async function change(
  disk: Disk,
  storage: CrashStorage,
  history: History,
  random: () => number,
  value: number,
): Promise<void> {
  const name = NAMES[Math.floor(random() * NAMES.length)] ?? 'a';
  const unit = Math.floor(random() * UNITS);
  const choice = random();
  const start = storage.moment;
  if (choice < 0.5) {
    history.write(unit, value, start);
    await disk.write(filled(UNIT, value), unit * UNIT);
  } else if (choice < 0.65) {
    history.write(unit, 0, start);
    await disk.writeZeroes(unit * UNIT, UNIT, { unmap: choice < 0.6 });
  } else if (choice < 0.72) {
    history.write(unit, 0, start);
    await disk.discard(unit * UNIT, UNIT);
  } else if (choice < 0.78) {
    await disk.flush();
  } else if (!history.isPresent(name)) {
    await disk.bitmaps.add({ name, granularity: choice < 0.9 ? 4096 : 2 * UNIT });
    history.renew(name, true, start, storage.moment);
    history.recording.add(name);
  } else if (choice < 0.88) {
    await disk.bitmaps.clear(name);
    history.renew(name, true, start, storage.moment);
  } else if (choice < 0.9) {
    await disk.bitmaps.remove(name);
    history.renew(name, false, start, storage.moment);
    history.recording.delete(name);
  } else if (history.recording.has(name)) {
    await disk.bitmaps.disable(name);
    history.recording.delete(name);
  } else {
    await disk.bitmaps.enable(name);
    history.recording.add(name);
  }
}

async function unitsOf(state: MemoryStorage): Promise<number[]> {
  const disk = await openDisk([state]);
  const units: number[] = [];
  const byte = new Uint8Array(1);
  for (let unit = 0; unit < UNITS; unit += 1) {
    await disk.read(byte, unit * UNIT);
    units.push(byte[0] ?? 0);
  }
  return units;
}

async function assertSurvives(
  t: Test,
  options: Record<string, OptionValue>,
  seed: number,
): Promise<void> {
  const path = join(directory(t), 'image');
  const random = randomSource(seed);
  const inner = await newImage(UNITS * UNIT, options);
  const storage = await CrashStorage.over(inner);
  const history = new History();
  let disk = await openDisk([storage], { writable: true });
  for (let value = 1; value <= 120; value += 1) {
    await change(disk, storage, history, random, value);
    if (value % 40 === 0) {
      await disk.close();
      disk = await openDisk([storage], { writable: true });
    }
  }
  await disk.close();
  t.same(await verify(inner), { corruptions: [], leaks: 0 }, 'clean after close');
  const failures: string[] = [];
  const seen = { consistent: 0, inUse: 0 };
  for (const moment of storage.boundaries) {
    for (const chance of CHANCES) {
      const state = storage.stateAt(moment, () => random() < chance);
      const { corruptions } = await verify(state);
      failures.push(...corruptions.map((text) => `at ${moment}: ${text}`));
      const bitmaps = await storedBitmaps(state);
      const units = await unitsOf(state);
      for (const name of NAMES) {
        const found = bitmaps.find((bitmap) => bitmap.name === name);
        const problem = history.problem(name, found, units, moment);
        if (problem !== undefined) {
          failures.push(`at ${moment}: ${name} ${problem}`);
        }
        seen.consistent += found?.inUse === false ? 1 : 0;
        seen.inUse += found?.inUse === true ? 1 : 0;
      }
      if (HAVE_QEMU && moment % 16 === 0) {
        await saveFile(state, path);
        const { code, text } = qemuCheck(path);
        failures.push(...(code === 0 || code === 3 ? [] : [`at ${moment}: ${text}`]));
      }
      await (await openDisk([state], { writable: true })).close();
    }
  }
  t.same(failures.slice(0, 10), [], `seed ${seed}: ${storage.boundaries.length} moments`);
  t.ok(seen.consistent > 20 && seen.inUse > 20, `seen both: ${JSON.stringify(seen)}`);
}

const SHAPES: readonly Record<string, OptionValue>[] = [
  { cluster_size: 512 },
  { cluster_size: '16k' },
  { cluster_size: '16k', extended_l2: true },
];

for (const options of SHAPES) {
  const seed = Number(process.env.LAMELLA_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.test(`bitmaps after a crash: ${JSON.stringify(options)}, seed ${seed}`, async (t) => {
    await assertSurvives(t, options, seed);
  });
}
