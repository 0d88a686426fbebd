import { writeFileSync } from 'node:fs';
import {
  type Change,
  CrashStorage,
  GuestHistory,
  LastingStorage,
  storageContent,
} from '@lamella/driver-testkit';
import { MemoryStorage } from 'lamella';
import t from 'tap';
import { KIB, pattern, randomSource } from './bytes.js';
import type { ImageSpec } from './image-spec.js';
import { emptyImage, KeptOpen, openOver } from './memory-disk.js';
import { needsQemu, qemuCheck, qemuRead } from './qemu.js';
import { Temp } from './temp.js';
import { readAll } from './verify.js';

const SIZE = 300 * KIB + 512;
const BATCHES = 14;
const LIVES = 8;
const CRASHES_PER_LIFE = 8;
/** Byte of a QED header and the bit in it: the image was not closed cleanly. */
const QED_FEATURES = 16;
const QED_NEED_CHECK = 2;

const soak = Number(process.env.LAMELLA_SOAK ?? '1');
const firstSeed = Number(process.env.LAMELLA_SEED ?? Date.now() % 2 ** 31);

/** A disk's recorded life. */
interface Recording {
  readonly storage: CrashStorage;
  readonly history: GuestHistory;
  readonly end: number;
}

/** Crashes disks of these kinds at many moments and looks at what is left. */
export function crashSuite(specs: readonly ImageSpec[]): void {
  for (const spec of specs) {
    t.test(spec.name, needsQemu, async (t) => {
      const temp = new Temp(t);
      let crashes = 0;
      let dirty = 0;
      for (let life = 0; life < LIVES * soak; life += 1) {
        const seed = (firstSeed + life * 104_729) | 0;
        const random = randomSource(seed);
        const recording = await record(spec, random);
        for (let crash = 0; crash < CRASHES_PER_LIFE; crash += 1) {
          const moment = Math.floor(random() * (recording.end + 1));
          const state = await storageContent(recording.storage.afterCrash(moment, random));
          try {
            dirty += (await survives(temp, spec, state, recording.history, moment)) ? 0 : 1;
          } catch (error) {
            t.fail(`LAMELLA_SEED=${firstSeed}, life ${life}, moment ${moment}: ${String(error)}`);
            return;
          }
          crashes += 1;
        }
      }
      t.comment(`seed ${firstSeed}: ${crashes} crashes survived, ${dirty} after repair only`);
      t.ok(crashes > 0);
    });
  }
}

/** Runs random requests on a recorded disk. */
async function record(spec: ImageSpec, random: () => number): Promise<Recording> {
  const storage = CrashStorage.from(await emptyImage(spec, SIZE), {
    delay: () => Math.floor(random() * 4),
  });
  const history = new GuestHistory(storage.timeline, new Uint8Array(SIZE));
  const cacheSize = random() < 0.5 ? 1 : undefined;
  const disk = await openOver(new LastingStorage(storage), spec, { cacheSize });
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const changes = disjointChanges(random, spec.clusterSize).map((change) =>
      history.change(change, () => make(disk, change)),
    );
    // A flush together with changes: it covers those that ended before it.
    const flush = random() < 0.3 ? history.flush(() => disk.flush()) : undefined;
    await Promise.all([...changes, flush]);
    if (random() < 0.4) {
      await history.flush(() => disk.flush());
    }
  }
  await history.flush(() => disk.close());
  return { storage, history, end: storage.moment };
}

function make(disk: Awaited<ReturnType<typeof openOver>>, change: Change): Promise<void> {
  const { kind, offset, length, bytes } = change;
  if (bytes !== undefined) {
    return disk.write(bytes, offset);
  }
  return kind === 'zero' ? disk.writeZeroes(offset, length) : disk.discard(offset, length);
}

/** Changes side by side with gaps between, some of them in one cluster. */
function disjointChanges(random: () => number, unit: number): Change[] {
  const changes: Change[] = [];
  let offset = Math.floor(random() * SIZE);
  if (random() < 0.5) {
    offset -= offset % unit;
  }
  for (let count = 1 + Math.floor(random() * 6); count > 0 && offset < SIZE; count -= 1) {
    const whole = unit * (1 + Math.floor(random() * 3));
    const wanted = random() < 0.5 ? whole : 1 + Math.floor(random() * unit * 1.5);
    const length = Math.min(wanted, SIZE - offset);
    const kind = random();
    if (kind < 0.6) {
      const bytes = pattern(Math.floor(random() * 1e6), offset, length);
      changes.push({ kind: 'write', offset, length, bytes });
    } else {
      changes.push({ kind: kind < 0.75 ? 'zero' : 'discard', offset, length });
    }
    offset += length + (random() < 0.5 ? 0 : Math.floor(random() * unit * 3));
  }
  return changes;
}

/**
 * Looks at an image after a crash.
 *
 * @returns whether it was free of errors before any repair
 * @throws Error for corruption that repair does not cope with, or lost bytes
 */
async function survives(
  temp: Temp,
  spec: ImageSpec,
  state: Uint8Array,
  history: GuestHistory,
  moment: number,
): Promise<boolean> {
  const path = temp.fresh(spec.format);
  writeFileSync(path, state);
  const before = await qemuCheck(path, spec.format);
  const clean = before.corruptions + before.checkErrors === 0;
  const marked = spec.format === 'qed' && ((state[QED_FEATURES] ?? 0) & QED_NEED_CHECK) !== 0;
  if (!clean && !marked) {
    throw new Error(`${before.corruptions} corruptions, ${before.checkErrors} check errors`);
  }
  if (clean) {
    history.check(await qemuRead(path, spec.format), moment);
  }
  // In memory: a file would spend its time on flushes that nothing here depends on.
  const storage = new KeptOpen(MemoryStorage.from(state));
  const disk = await openOver(storage, spec);
  history.check(await readAll(disk), moment);
  await disk.write(pattern(1, 1000, 9000), 1000);
  await disk.close();
  writeFileSync(path, await storage.bytes());
  const after = await qemuCheck(path, spec.format);
  if (after.corruptions + after.checkErrors > 0) {
    throw new Error(`written after the crash: ${after.corruptions} corruptions`);
  }
  temp.remove(path);
  return clean;
}
