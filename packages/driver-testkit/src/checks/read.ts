import type { Disk } from '@lamella/core';
import { randomSource } from '../model/bytes.js';
import { TracingStorage } from '../storage/tracing-storage.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, mustEqual } from './check.js';
import { memoryOf, readAll } from './disks.js';

const RANDOM_READS = 200;

/** Reads of images with known content. */
export function readChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('read');
  for (const sample of subject.samples) {
    const { name } = sample;
    const reading = (what: string, body: (disk: Disk, content: Uint8Array) => Promise<void>) => {
      group.add('read-1', `${what}: ${name}`, async () => {
        const { image, content, backing } = await sample.get();
        const disk = await subject.disk(memoryOf(image), { backing });
        await body(disk, content);
        await disk.close();
      });
    };
    const same = async (disk: Disk, content: Uint8Array, offset: number, length: number) => {
      const buffer = new Uint8Array(length).fill(0xa5);
      await disk.read(buffer, offset);
      mustEqual(
        buffer,
        content.subarray(offset, offset + length),
        `read of ${length} at ${offset}`,
      );
    };
    reading('the whole disk', async (disk, content) => {
      mustEqual(await readAll(disk), content, 'the disk');
    });
    reading('sector by sector', async (disk, content) => {
      for (let offset = 0; offset < content.length; offset += 512) {
        await same(disk, content, offset, Math.min(512, content.length - offset));
      }
    });
    reading('backwards', async (disk, content) => {
      for (let end = content.length; end > 0; end -= 4099) {
        const offset = Math.max(0, end - 4099);
        await same(disk, content, offset, end - offset);
      }
    });
    reading('the first and last bytes', async (disk, content) => {
      for (const length of [1, 2, 511, 512, 513]) {
        const inside = Math.min(length, content.length);
        await same(disk, content, 0, inside);
        await same(disk, content, content.length - inside, inside);
      }
    });
    reading('random ranges', async (disk, content) => {
      const random = randomSource(subject.seed(`read ${name}`));
      for (let round = 0; round < RANDOM_READS; round += 1) {
        const offset = Math.floor(random() * content.length);
        const length = Math.floor(random() * Math.min(200_000, content.length - offset));
        await same(disk, content, offset, length);
      }
    });
    reading('around the edges of clusters', async (disk, content) => {
      const unit = await subject.unit();
      for (let edge = unit; edge < content.length; edge += unit) {
        const offset = edge - 3;
        await same(disk, content, offset, Math.min(7, content.length - offset));
        if (edge > 64 * unit) {
          break;
        }
      }
    });
    addSlowReads(group, subject, sample);
  }
  if (subject.manifest.create !== undefined) {
    group.add('read-2', 'a new image', async () => {
      const size = await subject.size();
      const disk = await subject.disk(memoryOf(await subject.newImage(size)));
      mustEqual(await readAll(disk), new Uint8Array(size), 'a new image');
      await disk.close();
    });
  }
  return group.checks;
}

function addSlowReads(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  for (const cacheSize of [undefined, 1]) {
    const cache = cacheSize === undefined ? '' : ', smallest cache';
    group.add('read-1', `many at once on a slow storage${cache}: ${name}`, async () => {
      const { image, content, backing } = await get();
      const random = randomSource(subject.seed(`slow ${name}`));
      const slow = new TracingStorage(memoryOf(image), { delay: (_, id) => (id * 7) % 5 });
      const disk = await subject.disk(slow, { backing, cacheSize });
      const reads = Array.from({ length: 64 }, async () => {
        const offset = Math.floor(random() * content.length);
        const length = Math.floor(random() * Math.min(100_000, content.length - offset));
        const buffer = new Uint8Array(length);
        await disk.read(buffer, offset);
        mustEqual(buffer, content.subarray(offset, offset + length), `${length} at ${offset}`);
      });
      await Promise.all(reads);
      await disk.close();
    });
  }
}
