import { MAX_FINDINGS } from '@lamella/core';
import { randomSource, sameBytes, storageContent } from '../model/bytes.js';
import { GuestHistory } from '../model/guest-history.js';
import { BoundedStorage } from '../storage/bounded-storage.js';
import { Timeline } from '../storage/timeline.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustEqual, needing } from './check.js';
import { memoryOf, mustBeSound, reopened, startFrom } from './disks.js';
import { live } from './life.js';

const COUNTS = ['corruptions', 'leaks', 'checkErrors', 'corruptionsFixed', 'leaksFixed'] as const;

/** The image's own check. */
export function checkChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('check');
  if (subject.manifest.abilities?.check === false) {
    return [];
  }
  for (const sample of subject.samples) {
    addChecks(group, subject, sample);
  }
  for (const start of subject.starts) {
    const seed = subject.seed(`check ${start.name}`);
    group.add(
      'check-1',
      `after a random life, seed ${seed}: ${start.name}`,
      needing(subject, 'check', async () => {
        if (!(await subject.can('write'))) {
          return 'images of this kind are not written';
        }
        const { disk, storage } = await startFrom(subject, await start.get());
        const history = new GuestHistory(new Timeline(), (await start.get()).content);
        const random = randomSource(seed);
        const unit = await subject.unit();
        await live(disk, history, { random, unit, batches: 20, together: true });
        await disk.close();
        await mustBeSound(subject, storage);
        return undefined;
      }),
    );
    group.add(
      'check-1',
      `while it is open: ${start.name}`,
      needing(subject, 'check', async () => {
        const { disk } = await startFrom(subject, await start.get());
        if (await subject.can('write')) {
          await disk.write(new Uint8Array(5000).fill(3), 100);
        }
        const { corruptions, leaks, checkErrors } = await disk.check();
        must(
          corruptions + leaks + checkErrors === 0,
          `it found ${corruptions} corruptions, ${leaks} leaks, ${checkErrors} errors`,
        );
        await disk.close();
      }),
    );
  }
  return group.checks;
}

function addChecks(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  group.add(
    'check-1',
    `a sound image: ${name}`,
    needing(subject, 'check', async () => mustBeSound(subject, memoryOf((await get()).image))),
  );
  group.add(
    'check-2',
    `nothing is changed: ${name}`,
    needing(subject, 'check', async () => {
      const storage = new BoundedStorage(memoryOf((await get()).image), { mayChange: false });
      const image = await subject.open(storage, { forCheck: true });
      await image.check?.({});
      await image.close();
      must(storage.exceeded === undefined, `there was ${storage.exceeded?.message}`);
    }),
  );
  group.add(
    'check-3',
    `counts and findings: ${name}`,
    needing(subject, 'check', async () => {
      const image = await subject.open(memoryOf((await get()).image), { forCheck: true });
      const result = await image.check?.({});
      must(result !== undefined, 'an image that is opened for a check has none');
      for (const count of COUNTS) {
        must(
          Number.isSafeInteger(result[count]) && result[count] >= 0,
          `${count}: ${result[count]}`,
        );
      }
      must(result.findings.length <= MAX_FINDINGS, `${result.findings.length} findings`);
      await image.close();
    }),
  );
  group.add(
    'check-4',
    `a repair of a sound image: ${name}`,
    needing(subject, 'check', async () => {
      const { image: bytes, content, backing } = await get();
      const storage = memoryOf(bytes);
      if (!(await subject.can('write'))) {
        return 'images of this kind are not written';
      }
      const image = await subject.open(storage, { forCheck: true, writable: true });
      await image.check?.({ repair: 'all' });
      await image.close();
      mustEqual(await reopened(subject, storage, backing), content, 'after the repair');
      const again = await storageContent(storage);
      must(sameBytes(again.subarray(0, 4), bytes.subarray(0, 4)), 'the magic number is gone');
      return undefined;
    }),
  );
}
