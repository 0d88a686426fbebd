import { MemoryStorage, type Storage, WrappedStorage } from '@lamella/core';
import { sameBytes, storageContent } from '../model/bytes.js';
import { BoundedStorage } from '../storage/bounded-storage.js';
import { FaultyStorage } from '../storage/faulty-storage.js';
import type { Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustBeTyped, mustEqual, needing, refusal } from './check.js';
import { memoryOf, readAll, reopened } from './disks.js';
import { FOREIGN_HEADS } from './foreign-heads.js';

/** Codes that tell content which is not of the format. */
const REFUSALS = [
  'WRONG_FORMAT',
  'TRUNCATED',
  'INVALID_HEADER',
  'UNSUPPORTED',
  'LIMIT_EXCEEDED',
  'CORRUPT',
];

/** Tells whether it was closed. */
class WatchedStorage extends WrappedStorage {
  closes = 0;

  override async close(): Promise<void> {
    this.closes += 1;
  }
}

/** How images are opened. */
export function openChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('open');
  for (const sample of subject.samples) {
    group.add('open-1', `properties: ${sample.name}`, async () => {
      const { image, content } = await sample.get();
      const opened = await subject.open(memoryOf(image));
      must(opened.size === content.length, `size is ${opened.size}, not ${content.length}`);
      must(
        Number.isSafeInteger(opened.clusterSize) && opened.clusterSize >= 1,
        `clusterSize is ${opened.clusterSize}`,
      );
      must(typeof opened.references === 'object', 'there are no references');
      for (const [name, value] of Object.entries(opened.options)) {
        must(
          ['string', 'number', 'boolean'].includes(typeof value),
          `the option '${name}' is ${String(value)}`,
        );
      }
      await opened.close();
    });
    group.add('open-2', `open for reading: ${sample.name}`, async () => {
      const { image, backing } = await sample.get();
      const storage = new BoundedStorage(memoryOf(image), { mayChange: false });
      const disk = await subject.disk(storage, { backing });
      await readAll(disk);
      await disk.flush();
      await disk.close();
      must(storage.exceeded === undefined, `there was ${storage.exceeded?.message}`);
    });
    group.add('open-4', `the storage stays open: ${sample.name}`, async () => {
      const storage = new WatchedStorage(memoryOf((await sample.get()).image));
      const image = await subject.open(storage);
      must(storage.closes === 0, 'open closed the storage');
      await image.close();
      must(storage.closes === 0, 'close closed the storage');
    });
    group.add('open-5', `a read that fails: ${sample.name}`, async () => {
      const { image, content, backing } = await sample.get();
      await eachFailingRead(subject, image, async (storage) => {
        mustEqual(await reopened(subject, storage, backing), content, 'a second attempt');
      });
    });
  }
  for (const start of subject.starts) {
    group.add(
      'open-7',
      `for writing, without writing: ${start.name}`,
      needing(subject, 'write', async () => {
        const { image, content, backing } = await start.get();
        const storage = memoryOf(image);
        for (let round = 0; round < 3; round += 1) {
          const disk = await subject.disk(storage, { writable: true, backing });
          await disk.close();
        }
        mustEqual(await reopened(subject, storage, backing), content, 'afterwards');
      }),
    );
  }
  if (subject.manifest.takesAnything !== true) {
    const { format } = subject.driver();
    const foreign = FOREIGN_HEADS.filter(({ formats }) => !formats.includes(format));
    for (const { name, bytes } of foreign) {
      group.add('open-3', name, () => mustRefuse(subject, bytes));
    }
    group.add('open-3', 'an empty storage', () => mustRefuse(subject, new Uint8Array(0)));
    group.add('open-3', 'a single byte', () => mustRefuse(subject, new Uint8Array(1)));
  }
  group.add('open-6', 'an option that there is not', async () => {
    const [sample] = subject.samples;
    must(sample !== undefined, 'the manifest has no image');
    if (subject.driver().openOptions === undefined) {
      return 'the driver has no open options';
    }
    const storage = memoryOf((await sample.get()).image);
    const options = { ...subject.manifest.open?.options, 'no-such-option': 1 };
    const error = await refusal(() => subject.open(storage, { options }), 'an unknown option');
    must(error.code === 'INVALID_ARGUMENT', `the error is ${error.code}`);
    return undefined;
  });
  addBeforeWriting(group, subject);
  return group.checks;
}

function addBeforeWriting(group: CheckGroup, subject: Subject): void {
  const { unclean } = subject.manifest;
  const starts =
    unclean === undefined
      ? subject.starts
      : [{ name: unclean.name, get: async () => unclean.make() }];
  for (const { name, get } of starts) {
    group.add(
      'open-8',
      `another file of the chain fails: ${name}`,
      needing(subject, 'write', async () => {
        const { image } = await get();
        const storage = memoryOf(image);
        const failure = new Error('the backing file is missing');
        let changedBefore = false;
        const beforeWriting = async (): Promise<void> => {
          changedBefore = !sameBytes(await storageContent(storage), image);
          throw failure;
        };
        try {
          const opened = await subject.open(storage, { writable: true, beforeWriting });
          await opened.close();
        } catch (error) {
          must(error === failure, `opening failed with ${String(error)}`);
        }
        must(!changedBefore, 'the storage was changed before beforeWriting was called');
        must(sameBytes(await storageContent(storage), image), 'the storage was changed');
      }),
    );
  }
}

async function mustRefuse(subject: Subject, bytes: Uint8Array): Promise<void> {
  for (const writable of [false, true]) {
    const storage = new WatchedStorage(MemoryStorage.from(bytes));
    const error = await refusal(() => subject.open(storage, { writable }), 'foreign content');
    must(REFUSALS.includes(error.code), `the error is ${error.code}`);
    must(storage.closes === 0, 'the storage was closed');
    must(sameBytes(await storageContent(storage), bytes), 'the storage was changed');
  }
}

/** Lets every single read of opening fail once. */
async function eachFailingRead(
  subject: Subject,
  image: Uint8Array,
  again: (storage: Storage) => Promise<void>,
): Promise<void> {
  for (let failing = 0, failed = true; failed && failing < 200; failing += 1) {
    const storage = memoryOf(image);
    let reads = 0;
    const faulty = new FaultyStorage(storage, ({ method }) => {
      reads += method === 'read' ? 1 : 0;
      return method === 'read' && reads === failing + 1;
    });
    failed = false;
    try {
      const opened = await subject.open(faulty);
      must(reads <= failing, `read ${failing} failed and opening went on all the same`);
      await opened.close();
    } catch (error) {
      const { code } = mustBeTyped(error, 'opening');
      must(code === 'IO_ERROR', `the error of the storage became ${code}`);
      failed = true;
      await again(storage);
    }
  }
}
