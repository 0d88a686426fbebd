import { randomSource, storageContent } from '../model/bytes.js';
import { GuestHistory } from '../model/guest-history.js';
import { CrashStorage } from '../storage/crash-storage.js';
import { LastingStorage } from '../storage/lasting-storage.js';
import type { SampleImage } from '../subject/manifest.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustEqual, needing, under } from './check.js';
import { memoryOf, mustBeSound, reopened, startFrom } from './disks.js';
import { live } from './life.js';

const LIVES = 4;
const BATCHES = 10;
const CRASHES = 12;

/** A disk's recorded life. */
interface Recording {
  readonly storage: CrashStorage;
  readonly history: GuestHistory;
  readonly sample: SampleImage;
  readonly unit: number;
}

/** What is left after crashes. */
export function crashChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('crash');
  for (const start of subject.starts) {
    for (let round = 0; round < subject.effort(LIVES); round += 1) {
      const seed = subject.seed(`crash ${round} ${start.name}`);
      const together = round % 2 === 1;
      const what = `${together ? 'requests together' : 'one after the other'}, seed ${seed}`;
      let recorded: Promise<Recording> | undefined;
      const recording = () => {
        recorded ??= record(subject, start, seed, together);
        return recorded;
      };
      group.add(
        'crash-1',
        `at any moment, ${what}: ${start.name}`,
        needing(subject, 'write', async () => {
          const { storage, history, sample, unit } = await recording();
          const random = randomSource(seed + 1);
          for (let crash = 0; crash < CRASHES; crash += 1) {
            const moment = Math.floor(random() * (storage.moment + 1));
            const state = storage.afterCrash(moment, random);
            await mustSurvive(subject, await storageContent(state), sample, unit, (found) =>
              history.check(found, moment),
            );
          }
        }),
      );
      group.add(
        'flush-1',
        `right after each flush, ${what}: ${start.name}`,
        needing(subject, 'write', async () => {
          const { storage, history, sample } = await recording();
          for (const boundary of storage.boundaries.slice(-8)) {
            for (const chance of [0, 1]) {
              const state = storage.stateAt(boundary, () => chance === 1);
              const found = await reopened(subject, state, sample.backing);
              history.check(found, boundary);
            }
          }
        }),
      );
    }
    addSimple(group, subject, start);
  }
  return group.checks;
}

/** The plainest case of all, so that a driver that forgets to flush is told so in one line. */
function addSimple(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  group.add(
    'flush-1',
    `one write, one flush, no power: ${name}`,
    needing(subject, 'write', async () => {
      const { image, content, backing } = await get();
      const storage = CrashStorage.from(image);
      const disk = await subject.disk(storage, { writable: true, backing });
      const expected = content.slice();
      const stride = Math.min(await subject.unit(), Math.floor(content.length / 4));
      for (let round = 1; round <= 3; round += 1) {
        const bytes = new Uint8Array(700).fill(round);
        await disk.write(bytes, stride * round);
        expected.set(bytes, stride * round);
        await disk.flush();
        const state = storage.stateAt(storage.moment, () => false);
        mustEqual(
          await reopened(subject, state, backing),
          expected,
          `after flush ${round} the disk`,
        );
      }
      await disk.close();
    }),
  );
}

async function record(
  subject: Subject,
  start: NamedSample,
  seed: number,
  together: boolean,
): Promise<Recording> {
  const sample = await start.get();
  const random = randomSource(seed);
  const unit = await subject.unit();
  const storage = CrashStorage.from(sample.image, { delay: () => Math.floor(random() * 3) });
  const history = new GuestHistory(storage.timeline, sample.content);
  const disk = await subject.disk(new LastingStorage(storage), {
    writable: true,
    backing: sample.backing,
    cacheSize: random() < 0.5 ? 1 : undefined,
  });
  await live(disk, history, { random, unit, batches: BATCHES, together });
  await history.flush(() => disk.close());
  return { storage, history, sample, unit };
}

/** What a crash left is read, opened for writing, written, and in order afterwards. */
async function mustSurvive(
  subject: Subject,
  state: Uint8Array,
  sample: SampleImage,
  unit: number,
  check: (found: Uint8Array) => void,
): Promise<void> {
  const { backing } = sample;
  check(await reopened(subject, memoryOf(state), backing));
  const { disk, storage } = await startFrom(subject, { ...sample, image: state });
  const bytes = new Uint8Array(300).fill(0xee);
  const start = Math.max(0, Math.min(unit * 2 + 10, sample.content.length - bytes.length));
  const end = start + bytes.length;
  await disk.write(bytes, start);
  await disk.close();
  const found = await reopened(subject, storage, backing);
  const written = found.subarray(start, end);
  must(
    written.every((byte) => byte === 0xee),
    'what was written after the crash is not there',
  );
  const rest = found.slice();
  rest.set((await reopened(subject, memoryOf(state), backing)).subarray(start, end), start);
  check(rest);
  await under('crash-2', () => mustBeSound(subject, storage, { leaks: 'allowed' }));
}
