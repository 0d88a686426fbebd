import { type Disk, MemoryStorage, type Storage } from '@lamella/core';
import type { SampleImage } from '../subject/manifest.js';
import type { DiskOptions, Subject } from '../subject/subject.js';
import { must, mustEqual, under } from './check.js';

/** Bytes of a disk that are read at once. */
const STEP = 1024 * 1024;

/** All bytes of a disk. */
export async function readAll(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  for (let offset = 0; offset < bytes.length; offset += STEP) {
    await disk.read(bytes.subarray(offset, offset + STEP), offset);
  }
  return bytes;
}

/** A storage in memory with the bytes of an image. */
export function memoryOf(image: Uint8Array): MemoryStorage {
  return MemoryStorage.from(image, { location: 'memory:under-test' });
}

/** A writable disk over a copy of a sample. */
export async function startFrom(
  subject: Subject,
  sample: SampleImage,
  options: DiskOptions = {},
): Promise<{ readonly disk: Disk; readonly storage: MemoryStorage }> {
  const storage = memoryOf(sample.image);
  const disk = await subject.disk(storage, {
    writable: true,
    backing: sample.backing,
    ...options,
  });
  return { disk, storage };
}

/** Opens an image again, for reading, and gives what its disk holds. */
export async function reopened(
  subject: Subject,
  storage: Storage,
  backing: Uint8Array | undefined,
): Promise<Uint8Array> {
  const disk = await subject.disk(storage, { backing });
  const bytes = await readAll(disk);
  await disk.close();
  return bytes;
}

/** Closes a disk, opens it again, and looks whether it holds what it should and is in order. */
export async function mustLast(
  subject: Subject,
  disk: Disk,
  storage: Storage,
  content: Uint8Array,
  backing: Uint8Array | undefined,
): Promise<void> {
  await disk.close();
  await under('write-2', async () => {
    mustEqual(await reopened(subject, storage, backing), content, 'after reopening');
  });
  await mustBeSound(subject, storage);
}

/** Looks whether an image that was closed is in order, if there is a check; one of another kind may have none. */
export async function mustBeSound(
  subject: Subject,
  storage: Storage,
  options: { readonly leaks?: 'allowed'; readonly kind?: 'another' } = {},
): Promise<void> {
  if (!(await subject.can('check'))) {
    return;
  }
  await under(options.leaks === undefined ? 'check-1' : 'crash-2', async () => {
    const image = await subject.open(storage, { forCheck: true });
    if (image.check === undefined && options.kind === 'another') {
      await image.close();
      return;
    }
    must(image.check !== undefined, 'an image that is opened for a check has none');
    const { corruptions, leaks, checkErrors, findings } = await image.check({});
    await image.close();
    const found = findings.map(({ message }) => message).slice(0, 3);
    must(
      corruptions === 0 && checkErrors === 0 && (leaks === 0 || options.leaks === 'allowed'),
      `the check found ${corruptions} corruptions, ${leaks} leaks, ${checkErrors} errors: ${found.join('; ')}`,
    );
  });
}
