import { WrappedStorage } from '@lamella/core';
import { pattern } from '../model/bytes.js';
import { CrashStorage } from '../storage/crash-storage.js';
import type { Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustBeTyped, mustEqual, needing } from './check.js';
import { memoryOf, mustBeSound, readAll, reopened, startFrom } from './disks.js';

class CountingStorage extends WrappedStorage {
  closes = 0;

  override async close(): Promise<void> {
    this.closes += 1;
  }
}

/** Closing images, and ending operations early. */
export function endingChecks(subject: Subject): readonly Check[] {
  return [...closeChecks(subject), ...abortChecks(subject)];
}

function closeChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('close');
  for (const { name, get } of subject.samples) {
    group.add('close-1', `twice, and together, for reading: ${name}`, async () => {
      const storage = new CountingStorage(memoryOf((await get()).image));
      const image = await subject.open(storage);
      await Promise.all([image.close(), image.close()]);
      await image.close();
      must(storage.closes === 0, 'the storage was closed');
    });
  }
  for (const { name, get } of subject.starts) {
    group.add(
      'close-1',
      `twice, and together, after a write: ${name}`,
      needing(subject, 'write', async () => {
        const { image: bytes, backing, content } = await get();
        const storage = memoryOf(bytes);
        const image = await subject.open(storage, { writable: true });
        const disk = subject.diskOf(image, storage, { writable: true, backing });
        await disk.write(pattern(1, 0, 1000), 100);
        await Promise.all([image.close(), image.close()]);
        await image.close();
        const expected = content.slice();
        expected.set(pattern(1, 0, 1000), 100);
        mustEqual(await reopened(subject, storage, backing), expected, 'after closing twice');
      }),
    );
    group.add(
      'close-2',
      `the storage after a write: ${name}`,
      needing(subject, 'write', async () => {
        const { image: bytes, backing } = await get();
        const storage = new CountingStorage(memoryOf(bytes));
        const image = await subject.open(storage, { writable: true });
        const disk = subject.diskOf(image, storage, { writable: true, backing });
        await disk.write(pattern(1, 0, 1000), 100);
        await image.close();
        must(storage.closes === 0, 'the storage was closed');
        await storage.read(new Uint8Array(1), 0);
      }),
    );
    group.add(
      'close-3',
      `a crash right after it: ${name}`,
      needing(subject, 'write', async () => {
        const { image: bytes, backing, content } = await get();
        const unit = await subject.unit();
        const storage = CrashStorage.from(bytes);
        const disk = await subject.disk(storage, { writable: true, backing });
        const expected = content.slice();
        const last = content.length - 20;
        for (const offset of [0, unit + 3, Math.min(unit * 6, last - 20), last]) {
          await disk.write(pattern(2, offset, 20), offset);
          expected.set(pattern(2, offset, 20), offset);
        }
        await disk.close();
        const state = storage.stateAt(storage.moment, () => false);
        mustEqual(await reopened(subject, state, backing), expected, 'after a crash the disk');
        await mustBeSound(subject, state, { leaks: 'allowed' });
      }),
    );
  }
  return group.checks;
}

function abortChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('abort');
  for (const start of subject.starts) {
    for (const when of ['before', 'at the first progress'] as const) {
      const aborter = () => {
        const controller = new AbortController();
        if (when === 'before') {
          controller.abort();
        }
        return { signal: controller.signal, onProgress: () => controller.abort() };
      };
      group.add(
        'abort-1',
        `a check, ${when}: ${start.name}`,
        needing(subject, 'check', async () => {
          const storage = memoryOf((await start.get()).image);
          const image = await subject.open(storage, { forCheck: true });
          await mayAbort(async () => image.check?.(aborter()));
          await image.close();
          await mustBeSound(subject, storage);
        }),
      );
      for (const preallocation of ['off', 'metadata', 'falloc', 'full'] as const) {
        group.add(
          'abort-1',
          `a growth with preallocation '${preallocation}', ${when}: ${start.name}`,
          needing(subject, 'resize', async () => {
            const sample = await start.get();
            const { disk, storage } = await startFrom(subject, sample);
            const before = disk.size;
            const size = before + 64 * (await subject.unit());
            const options = { ...aborter(), preallocation };
            const done = await mayAbort(() => disk.resize(size, options), preallocation !== 'off');
            must(
              disk.size === before || (done && disk.size >= size),
              `the size is ${disk.size}, neither ${before} nor ${size}`,
            );
            const expected = new Uint8Array(disk.size);
            expected.set(sample.content);
            mustEqual(await readAll(disk), expected, 'the disk');
            await disk.close();
            mustEqual(await reopened(subject, storage, sample.backing), expected, 'reopened');
            await mustBeSound(subject, storage, { leaks: 'allowed' });
          }),
        );
      }
    }
  }
  return group.checks;
}

/** @returns whether the operation came to its end */
async function mayAbort(action: () => Promise<unknown>, mayRefuse = false): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    const { code } = mustBeTyped(error, 'the operation');
    const refused = mayRefuse && /^(UNSUPPORTED|INVALID_ARGUMENT)$/.test(code);
    must(code === 'ABORTED' || refused, `the error is ${code}`);
    return false;
  }
}
