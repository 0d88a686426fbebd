import type { OptionValue } from '@lamella/core';
import { storageContent } from '@lamella/driver-testkit';
import t, { type Test } from 'tap';
import { boundariesOf, newPair, openPair, recorded, stateAt } from './support/data-files.js';
import { content, filled, randomSource } from './support/disks.js';
import { verify } from './support/verify.js';

const UNIT = 16384;
const UNITS = 24;

/** How likely a change that was not flushed survives the crash. */
const CHANCES = [0, 0.5, 1];

/** The values that each unit may hold: the durable one and all that came later. */
class History {
  readonly #allowed = Array.from({ length: UNITS }, () => [{ value: 0, from: 0 }]);
  readonly #flushes: { readonly moment: number; readonly counts: readonly number[] }[] = [];

  note(unit: number, value: number, from: number): void {
    this.#allowed[unit]?.push({ value, from });
  }

  /** What was noted so far is durable from this moment on. */
  flushed(moment: number, counts: readonly number[]): void {
    this.#flushes.push({ moment, counts });
  }

  get counts(): number[] {
    return this.#allowed.map((values) => values.length);
  }

  at(unit: number, moment: number): Set<number> {
    const values = this.#allowed[unit] ?? [];
    const durable = this.#flushes.findLast((flush) => flush.moment <= moment)?.counts[unit] ?? 1;
    return new Set(
      values
        .filter(({ from }, index) => index >= durable - 1 && (from <= moment || index === 0))
        .map(({ value }) => value),
    );
  }
}

function wrongUnits(bytes: Uint8Array, history: History, moment: number, where: string): string[] {
  return Array.from({ length: UNITS }, (_, unit) => {
    const allowed = history.at(unit, moment);
    const bad = bytes.subarray(unit * UNIT, (unit + 1) * UNIT).find((value) => !allowed.has(value));
    return bad === undefined
      ? undefined
      : `at ${moment}: unit ${unit} of the ${where} holds ${bad}, not one of ${[...allowed]}`;
  }).filter((text) => text !== undefined);
}

async function assertSurvives(
  t: Test,
  options: Record<string, OptionValue>,
  seed: number,
): Promise<void> {
  const random = randomSource(seed);
  const raw = options.data_file_raw === true;
  const pair = await newPair(UNITS * UNIT, options);
  const crashing = await recorded(pair);
  const { timeline } = crashing.image;
  const history = new History();
  const disk = await openPair(crashing, { writable: true });
  for (let i = 0; i < 50; i += 1) {
    const unit = Math.floor(random() * UNITS);
    const choice = random();
    const moment = timeline.now;
    if (choice < 0.55) {
      history.note(unit, 1 + i, moment);
      await disk.write(filled(UNIT, 1 + i), unit * UNIT);
    } else if (choice < 0.8) {
      history.note(unit, 0, moment);
      await (choice < 0.65
        ? disk.discard(unit * UNIT, UNIT)
        : disk.writeZeroes(unit * UNIT, UNIT, { unmap: choice < 0.72 }));
      const seen = new Uint8Array(1);
      await disk.read(seen, unit * UNIT);
      history.note(unit, seen[0] ?? 0, moment);
    } else {
      const { counts } = history;
      await disk.flush();
      history.flushed(timeline.now, counts);
    }
  }
  await disk.close();
  history.flushed(timeline.now, history.counts);
  const failures: string[] = [];
  const moments = boundariesOf(crashing);
  for (const moment of moments) {
    for (const chance of CHANCES) {
      const { image, data } = stateAt(crashing, moment, () => random() < chance);
      const { corruptions } = await verify(image);
      failures.push(...corruptions.map((text) => `at ${moment}: ${text}`));
      const after = await openPair({ image, data });
      failures.push(...wrongUnits(await content(after), history, moment, 'disk'));
      await after.close();
      if (raw) {
        failures.push(...wrongUnits(await storageContent(data), history, moment, 'data file'));
      }
    }
  }
  t.same(failures.slice(0, 10), [], `${moments.length * CHANCES.length} crash states`);
}

for (const options of [
  { cluster_size: '4k' },
  { cluster_size: '16k' },
  { cluster_size: '64k', extended_l2: true },
  { cluster_size: '4k', data_file_raw: true },
  { cluster_size: '64k', data_file_raw: true },
  { cluster_size: '16k', extended_l2: true, data_file_raw: true },
]) {
  t.test(`a crash loses nothing that was flushed: ${JSON.stringify(options)}`, async (t) => {
    for (const seed of [3]) {
      await assertSurvives(t, options, seed);
    }
  });
}
