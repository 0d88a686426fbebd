import { join } from 'node:path';
import { MemoryStorage, type OptionValue, type Storage } from '@lamella/core';
import { CrashStorage } from '@lamella/driver-testkit';
import t, { type Test } from 'tap';
import { filled, newImage, openDisk, randomSource } from './support/disks.js';
import {
  directory,
  loadFile,
  qemuCheck,
  qemuContent,
  qemuImg,
  qemuIo,
  qemuTest,
  saveFile,
} from './support/qemu.js';
import { verify } from './support/verify.js';

const UNIT = 16384;

/** How likely a change that was not flushed survives the crash. */
const CHANCES = [0, 0.4, 0.6, 0.8, 1];

/** What a unit of the disk may hold, with the moment from which on it may and until when it must not. */
class History {
  readonly #values: { readonly unit: number; readonly value: number; readonly moment: number }[] =
    [];
  readonly #flushes: { readonly moment: number; readonly values: number }[] = [];
  readonly #start: readonly number[];

  constructor(start: readonly number[]) {
    this.#start = start;
  }

  note(unit: number, value: number, moment: number): void {
    this.#values.push({ unit, value, moment });
  }

  flushed(moment: number): void {
    this.#flushes.push({ moment, values: this.#values.length });
  }

  allowed(unit: number, moment: number): Set<number> {
    const durable = this.#flushes.filter((flush) => flush.moment <= moment).at(-1)?.values ?? 0;
    const values = this.#values
      .map((entry, index) => ({ ...entry, index }))
      .filter((entry) => entry.unit === unit);
    const base = values.filter(({ index }) => index < durable).at(-1)?.value;
    const later = values.filter((entry) => entry.index >= durable && entry.moment <= moment);
    return new Set([base ?? this.#start[unit] ?? 0, ...later.map(({ value }) => value)]);
  }
}

async function startValues(storage: Storage): Promise<number[]> {
  const disk = await openDisk([storage]);
  const values: number[] = [];
  const byte = new Uint8Array(1);
  for (let unit = 0; unit * UNIT < disk.size; unit += 1) {
    await disk.read(byte, unit * UNIT);
    values.push(byte[0] ?? 0);
  }
  return values;
}

async function assertSurvives(
  t: Test,
  inner: MemoryStorage,
  seed: number,
  operations: number,
): Promise<void> {
  const random = randomSource(seed);
  const storage = await CrashStorage.over(inner);
  const history = new History(await startValues(inner));
  const disk = await openDisk([storage], { writable: true });
  const units = Math.floor(disk.size / UNIT);
  for (let i = 0; i < operations; i += 1) {
    const unit = Math.floor(random() * units);
    const choice = random();
    if (choice < 0.6) {
      const value = 1 + (i % 250);
      history.note(unit, value, storage.moment);
      await disk.write(filled(UNIT, value), unit * UNIT);
    } else if (choice < 0.8) {
      history.note(unit, 0, storage.moment);
      await (choice < 0.7
        ? disk.discard(unit * UNIT, UNIT)
        : disk.writeZeroes(unit * UNIT, UNIT, { unmap: choice < 0.75 }));
      const seen = new Uint8Array(1);
      await disk.read(seen, unit * UNIT);
      history.note(unit, seen[0] ?? 0, storage.moment);
    } else {
      await disk.flush();
      history.flushed(storage.moment);
    }
  }
  await disk.close();
  history.flushed(storage.moment);
  const last = await verify(inner);
  t.same(last, { corruptions: [], leaks: 0 }, 'clean after close');
  const failures: string[] = [];
  for (const boundary of storage.boundaries) {
    for (const chance of CHANCES) {
      const moment = chance === 0.3 ? Math.max(0, boundary - 2) : boundary;
      const state = storage.stateAt(moment, () => random() < chance);
      const { corruptions } = await verify(state);
      failures.push(...corruptions.map((text) => `at ${moment}: ${text}`));
      failures.push(...(await wrongUnits(state, history, units, moment)));
    }
  }
  t.same(failures.slice(0, 10), [], `${storage.boundaries.length * CHANCES.length} crash states`);
}

async function wrongUnits(
  state: MemoryStorage,
  history: History,
  units: number,
  moment: number,
): Promise<string[]> {
  const wrong: string[] = [];
  const disk = await openDisk([state]);
  const seen = new Uint8Array(UNIT);
  for (let unit = 0; unit < units; unit += 1) {
    await disk.read(seen, unit * UNIT);
    const allowed = history.allowed(unit, moment);
    const bad = seen.find((value) => !allowed.has(value));
    if (bad !== undefined) {
      wrong.push(`at ${moment}: unit ${unit} holds ${bad}, not one of ${[...allowed]}`);
    }
  }
  return wrong;
}

const CASES: readonly (readonly [Record<string, OptionValue>, number])[] = [
  [{ cluster_size: 512 }, 40],
  [{ cluster_size: 512, compat: '0.10' }, 40],
  [{ cluster_size: '4k', refcount_bits: 1 }, 60],
  [{ cluster_size: '16k' }, 80],
  [{ cluster_size: '16k', extended_l2: true }, 80],
  [{ cluster_size: '64k', extended_l2: true }, 80],
];

for (const [options, operations] of CASES) {
  t.test(`a crash leaves leaks at most: ${JSON.stringify(options)}`, async (t) => {
    for (const seed of [11]) {
      await assertSurvives(t, await newImage(40 * UNIT, options), seed, operations);
    }
  });
}

t.test('a crash while the refcount table grows leaves leaks at most', async (t) => {
  const storage = await newImage(160 * UNIT, { cluster_size: 512, refcount_bits: 64 });
  const disk = await openDisk([storage], { writable: true });
  await disk.write(filled(122 * UNIT, 9), 0);
  await disk.close();
  const table = new Uint8Array(12);
  storage.read(table, 48);
  await assertSurvives(t, storage, 21, 60);
  const after = new Uint8Array(12);
  storage.read(after, 48);
  t.notSame(after, table, 'the table was moved');
});

for (const kind of ['snapshots', 'compressed', 'snapshots of extended L2']) {
  t.test(`a crash leaves leaks at most: ${kind}`, qemuTest, async (t) => {
    const dir = directory(t);
    const path = join(dir, 'a.qcow2');
    const extended = kind.includes('extended') ? ',extended_l2=on' : '';
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `cluster_size=16k${extended}`, path, '640k');
    qemuIo(path, 'write -P 5 0 640k');
    if (kind === 'compressed') {
      qemuImg('convert', '-q', '-c', '-O', 'qcow2', '-o', 'cluster_size=16k', path, `${path}.c`);
      await assertSurvives(t, loadFile(`${path}.c`), 31, 80);
      return;
    }
    qemuImg('snapshot', '-c', 'one', path);
    const expected = qemuContent(path);
    const storage = loadFile(path);
    await assertSurvives(t, storage, 32, 80);
    await saveFile(storage, path);
    t.equal(qemuCheck(path).code, 0, 'the verifier and QEMU agree');
    qemuImg('snapshot', '-a', 'one', path);
    t.ok(Buffer.compare(qemuContent(path), expected) === 0, 'the snapshot is unchanged');
  });
}
