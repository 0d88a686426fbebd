import fc from 'fast-check';
import t from 'tap';
import { KIB, MIB } from './bytes.js';
import { extendedL2, type ImageSpec, qcow2, qed, qemuMakes, RAW } from './image-spec.js';
import { makeBacking, makeImage } from './make-image.js';
import { needsQemu } from './qemu.js';
import { live, type Subject } from './random-life.js';
import { lives } from './requests.js';
import { Temp } from './temp.js';

/** Least sequences in a default run of all files together. */
const LEAST = 500;
/** Longest time for one kind of disk, including looking for a smaller counterexample. */
const TIME_LIMIT = 60_000;

/** Kinds of images by test file. */
export const SPECS = {
  qcow2v2: [512, 4 * KIB, 64 * KIB, 2 * MIB].map((size) => qcow2(2, size)),
  qcow2v3: [512, 4 * KIB, 64 * KIB, 2 * MIB].map((size) => qcow2(3, size)),
  extendedL2: [extendedL2(16 * KIB), extendedL2(64 * KIB)],
  qedAndRaw: [qed(4 * KIB, 1), qed(4 * KIB, 4), qed(64 * KIB, 1), qed(64 * KIB, 4), RAW],
} as const satisfies Record<string, readonly ImageSpec[]>;

const BACKINGS = ['alone', 'over a shorter backing file', 'over a longer backing file'] as const;
const RUNS = 14;

const soak = Number(process.env.LAMELLA_SOAK ?? '1');
const firstSeed = Number(process.env.LAMELLA_SEED ?? Date.now() % 2 ** 31);

/** Runs the sequences of one test file and counts them. */
export function randomSuite(specs: readonly ImageSpec[]): void {
  let ran = 0;
  let planned = 0;
  for (const spec of specs) {
    for (const backing of backingsOf(spec)) {
      const runs = Math.ceil(RUNS * soak);
      const seed = (firstSeed + planned * 7919) | 0;
      planned += runs;
      t.test(`${spec.name}, ${backing}`, { ...needsQemu, timeout: 0 }, async (t) => {
        const temp = new Temp(t);
        const subject = await prepare(temp, spec, backing);
        t.comment(`seed ${seed}: ${runs} sequences`);
        const property = fc.asyncProperty(lives(subject.size, spec.clusterSize), async (life) => {
          ran += 1;
          await live(temp, subject, life);
        });
        await fc.assert(property, {
          seed,
          numRuns: runs,
          interruptAfterTimeLimit: TIME_LIMIT * soak,
          markInterruptAsFailure: true,
        });
        t.pass(`${runs} sequences`);
      });
    }
  }
  t.test('enough sequences ran', needsQemu, async (t) => {
    const all = Object.values(SPECS).flat();
    const total = all.reduce((sum, spec) => sum + backingsOf(spec).length * RUNS, 0);
    t.comment(`${ran} sequences here; ${total} planned in all files of a default run`);
    t.ok(ran >= planned, `${ran} of ${planned} ran`);
    t.ok(total >= LEAST, `${total} in all, at least ${LEAST}`);
    t.ok(
      specs.every((spec) => all.includes(spec)),
      'counted in the total',
    );
  });
}

function backingsOf(spec: ImageSpec): readonly (typeof BACKINGS)[number][] {
  return spec.format === 'raw' ? ['alone'] : BACKINGS;
}

async function prepare(
  temp: Temp,
  spec: ImageSpec,
  kind: (typeof BACKINGS)[number],
): Promise<Subject> {
  // No multiple of the cluster size; several L2 tables where they are small.
  const size = (spec.clusterSize > 64 * KIB ? 7 : 1) * MIB + (spec.format === 'raw' ? 0 : 3 * 512);
  const backingSize = kind === 'alone' ? 0 : kind.includes('shorter') ? size * 0.6 : size * 1.3;
  const backing =
    backingSize === 0
      ? undefined
      : await makeBacking(temp, spec, Math.floor(backingSize / 512) * 512);
  const template = temp.file(`template.${spec.format}`);
  await makeImage(qemuMakes(spec) ? 'qemu' : 'here', spec, template, size, backing);
  return { spec, size, backing, template };
}
