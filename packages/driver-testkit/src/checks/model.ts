import type { Disk, Storage } from '@lamella/core';
import fc from 'fast-check';
import { pattern } from '../model/bytes.js';
import type { Change } from '../model/changes.js';
import { DiskModel } from '../model/disk-model.js';
import { TracingStorage } from '../storage/tracing-storage.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, mustEqual, needing } from './check.js';
import { memoryOf, mustBeSound, readAll, reopened } from './disks.js';
import { carryOut } from './together.js';

const RUNS = 12;
const MAX_STEPS = 24;

/** A step in the life of a disk. Places and lengths are shares of the disk and of a few clusters. */
type Step = Request | { readonly kind: 'flush' } | { readonly kind: 'reopen' };

interface Request {
  readonly kind: 'write' | 'zero' | 'discard' | 'read';
  readonly place: number;
  readonly share: number;
  readonly aligned: boolean;
  readonly seed: number;
}

const share = fc.integer({ min: 0, max: 999 }).map((n) => n / 1000);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom('write', 'write', 'write', 'zero', 'discard', 'read'),
      place: share,
      share,
      aligned: fc.boolean(),
      seed: fc.nat(1000),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'flush' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'reopen' }) },
);

/** Random lives of a disk, compared with an array of bytes; a failing one is made as short as it gets. */
export function modelChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('model');
  for (const start of subject.starts) {
    for (const [how, cacheSize, slow] of [
      ['', undefined, false],
      [', smallest cache', 1, false],
      [', slow storage', undefined, true],
    ] as const) {
      const seed = subject.seed(`model ${how} ${start.name}`);
      group.add(
        'model-1',
        `random lives, seed ${seed}${how}: ${start.name}`,
        needing(subject, 'write', async () => {
          const life = fc.asyncProperty(fc.array(step, { maxLength: MAX_STEPS }), (steps) =>
            new Life(subject, start, cacheSize, slow).live(steps),
          );
          await fc.assert(life, { seed, numRuns: subject.effort(RUNS), endOnFailure: false });
        }),
      );
    }
  }
  return group.checks;
}

/** One disk from its start on. */
class Life {
  readonly #subject: Subject;
  readonly #start: NamedSample;
  readonly #cacheSize: number | undefined;
  readonly #slow: boolean;

  constructor(subject: Subject, start: NamedSample, cacheSize: number | undefined, slow: boolean) {
    this.#subject = subject;
    this.#start = start;
    this.#cacheSize = cacheSize;
    this.#slow = slow;
  }

  async live(steps: readonly Step[]): Promise<void> {
    const { image, content, backing } = await this.#start.get();
    const memory = memoryOf(image);
    const storage = this.#slow ? new TracingStorage(memory, { delay: (_, id) => id % 3 }) : memory;
    const model = new DiskModel(content.slice());
    let disk = await this.#open(storage, backing);
    for (const step of steps) {
      if (step.kind === 'flush') {
        await disk.flush();
      } else if (step.kind === 'reopen') {
        await disk.close();
        disk = await this.#open(storage, backing);
      } else {
        await this.#request(disk, model, step);
      }
    }
    mustEqual(await readAll(disk), model.bytes, 'in the end');
    await disk.close();
    mustEqual(await reopened(this.#subject, memory, backing), model.bytes, 'reopened');
    await mustBeSound(this.#subject, memory);
  }

  #open(storage: Storage, backing: Uint8Array | undefined): Promise<Disk> {
    return this.#subject.disk(storage, { writable: true, cacheSize: this.#cacheSize, backing });
  }

  async #request(disk: Disk, model: DiskModel, step: Request): Promise<void> {
    const unit = await this.#subject.unit();
    const wanted = Math.floor(step.place * disk.size);
    const offset = step.aligned ? wanted - (wanted % unit) : wanted;
    const clusters = 1 + Math.floor(step.share * 4);
    const long = step.aligned ? clusters * unit : 1 + Math.floor(step.share * unit * 3);
    const length = Math.min(long, disk.size - offset);
    const read = async (from: number, count: number): Promise<Uint8Array> => {
      const found = new Uint8Array(count);
      await disk.read(found, from);
      return found;
    };
    if (step.kind === 'read') {
      model.checkRead(offset, await read(offset, length), []);
      return;
    }
    const { kind } = step;
    const change: Change =
      kind === 'write'
        ? { kind, offset, length, bytes: pattern(step.seed, offset, length) }
        : { kind, offset, length };
    await carryOut(disk, change);
    await model.settle([change], read);
  }
}
