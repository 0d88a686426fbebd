import type { OptionValue } from '@lamella/core';
import { CrashStorage } from '@lamella/driver-testkit';
import t from 'tap';
import {
  compressingDriver,
  content,
  createOptions,
  filled,
  newStorage,
  open,
  randomSource,
} from './support/snapshots.js';
import { verify } from './support/verify.js';

const UNIT = 4096;
const UNITS = 16;

/** How likely a change that was not flushed survives the crash. */
const CHANCES = [0, 0.5, 0.9, 1];

/** What the disk and its snapshots hold, by identifier. */
interface State {
  readonly disk: readonly number[];
  readonly snapshots: ReadonlyMap<string, readonly number[]>;
}

/** A step that leads from one state to another; the state holds from `moment` on. */
interface Stage {
  readonly state: State;
  readonly moment: number;
  /** Whether there is nothing in between: the step was no write. */
  readonly atomic: boolean;
}

async function unitsOf(disk: Parameters<typeof content>[0]): Promise<number[]> {
  const bytes = await content(disk);
  return Array.from({ length: UNITS }, (_, unit) => {
    const part = bytes.subarray(unit * UNIT, (unit + 1) * UNIT);
    return part.every((byte) => byte === part[0]) ? (part[0] ?? 0) : -1;
  });
}

/** Runs a random life of a disk and gives its stages. */
async function live(storage: CrashStorage, seed: number, steps: number): Promise<Stage[]> {
  const random = randomSource(seed);
  const disk = await open(storage, true, { cacheSize: 0 });
  let state: State = { disk: await unitsOf(disk), snapshots: new Map() };
  const stages: Stage[] = [{ state, moment: 0, atomic: true }];
  for (let i = 1; i <= steps; i += 1) {
    const ids = [...state.snapshots.keys()];
    const id = ids[Math.floor(random() * ids.length)];
    const choice = i === steps ? 1 : random();
    const snapshots = new Map(state.snapshots);
    const writes = choice < 0.45 || (id === undefined && choice < 0.6);
    if (writes) {
      const units = [...state.disk];
      for (let unit = 0; unit < UNITS; unit += 1) {
        if (random() < 0.4) {
          units[unit] = random() < 0.8 ? 1 + ((i * 16 + unit) % 250) : 0;
          await (units[unit] === 0
            ? disk.writeZeroes(unit * UNIT, UNIT)
            : disk.write(filled(UNIT, units[unit] ?? 0), unit * UNIT));
        }
      }
      await disk.flush();
      state = { disk: units, snapshots };
    } else if (id === undefined || (choice < 0.7 && ids.length < 3)) {
      const { id: created } = await disk.snapshots.create({ name: 'x' });
      state = { disk: state.disk, snapshots: snapshots.set(created, state.disk) };
    } else if (choice < 0.85) {
      await disk.snapshots.apply({ id });
      state = { disk: state.snapshots.get(id) ?? [], snapshots };
    } else {
      await disk.snapshots.delete({ id });
      snapshots.delete(id);
      state = { disk: state.disk, snapshots };
    }
    stages.push({ state, moment: storage.moment, atomic: !writes });
  }
  await disk.close();
  return stages;
}

/** Why the disk is none that a crash at a moment may leave; undefined if it is one. */
async function wrong(
  disk: Awaited<ReturnType<typeof open>>,
  stages: readonly Stage[],
  moment: number,
): Promise<string | undefined> {
  const index = stages.findLastIndex((stage) => stage.moment <= moment);
  const before = stages[index];
  const after = stages[index + 1] ?? before;
  if (before === undefined || after === undefined) {
    return 'no stage';
  }
  const units = await unitsOf(disk);
  const ids = disk.snapshots.list().map(({ id }) => id);
  const is = ({ snapshots }: State) => ids.join() === [...snapshots.keys()].join();
  const state = [after.state, before.state].find(is);
  if (state === undefined) {
    return `snapshots ${ids}`;
  }
  for (const [id, expected] of state.snapshots) {
    await using then = await disk.snapshots.open({ id });
    if ((await unitsOf(then)).join() !== expected.join()) {
      return `snapshot ${id} differs`;
    }
  }
  const bytes = await content(disk);
  const fits = after.atomic
    ? [before, after].some((stage) => stage.state.disk.join() === units.join())
    : bytes.every((byte, at) => {
        const unit = Math.floor(at / UNIT);
        return byte === before.state.disk[unit] || byte === after.state.disk[unit];
      });
  return fits ? undefined : `disk ${units}`;
}

const CASES: readonly Record<string, OptionValue>[] = [
  { cluster_size: 512 },
  { cluster_size: 512, compat: '0.10' },
  { cluster_size: 512, refcount_bits: 64 },
  { cluster_size: 4096, refcount_bits: 4 },
  { cluster_size: 16384, extended_l2: true },
];

for (const options of CASES) {
  t.test(`a crash leaves leaks at most: snapshots, ${JSON.stringify(options)}`, async (t) => {
    const inner = newStorage();
    await compressingDriver.create(inner, createOptions(UNITS * UNIT, options));
    const storage = await CrashStorage.over(inner);
    const seed = 7;
    const stages = await live(storage, seed, 16);
    t.same(await verify(inner), { corruptions: [], leaks: 0 }, 'clean after close');
    const random = randomSource(seed);
    const failures: string[] = [];
    let states = 0;
    for (const moment of storage.boundaries) {
      for (const chance of CHANCES) {
        states += 1;
        const crashed = storage.stateAt(moment, () => random() < chance);
        const { corruptions } = await verify(crashed);
        failures.push(...corruptions.map((text) => `at ${moment}: ${text}`));
        await using disk = await open(crashed);
        const problem = await wrong(disk, stages, moment);
        failures.push(...(problem === undefined ? [] : [`at ${moment}: ${problem}`]));
      }
    }
    t.ok(stages.filter(({ atomic }) => atomic).length > 6, 'snapshots were changed');
    t.same(failures.slice(0, 10), [], `${states} crash states`);
  });
}
