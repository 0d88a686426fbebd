import type { Allocation, Image, Placement, Storage } from '@lamella/core';
import { pattern } from '../model/bytes.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustEqual, needing } from './check.js';
import { memoryOf, mustBeSound, readAll, reopened } from './disks.js';
import { describeByte } from './extents.js';

/** What `place` and `zero` answer, without the engine in between. */
export function placementChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('placement');
  for (const start of subject.starts) {
    addContract(group, subject, start);
    addAbort(group, subject, start);
    addCommit(group, subject, start);
    addZero(group, subject, start);
  }
  return group.checks;
}

/** Requests of several shapes all over the disk: offset and length. */
function requests(unit: number, size: number): readonly (readonly [number, number])[] {
  const shapes: (readonly [number, number])[] = [];
  for (const offset of [0, 1, unit - 1, unit * 2, unit * 4 + 5, unit * 7, size - unit, size - 1]) {
    for (const length of [1, 100, unit - 1, unit, unit + 1, unit * 3]) {
      if (offset >= 0 && offset + length <= size) {
        shapes.push([offset, length]);
      }
    }
  }
  return shapes;
}

async function placed(image: Image, offset: number, length: number): Promise<Placement> {
  const { place } = image;
  must(place !== undefined, 'an image that was opened for writing has no place');
  const placement = await place.call(image, offset, length);
  const where = `place(${offset}, ${length})`;
  must(
    Number.isInteger(placement.length) && placement.length >= 1 && placement.length <= length,
    `${where} covers ${placement.length} bytes`,
  );
  must(
    Number.isSafeInteger(placement.offset) && placement.offset >= 0,
    `${where} leads to byte ${placement.offset}`,
  );
  must(typeof placement.storage?.write === 'function', `${where} names no storage`);
  if (placement.kind === 'allocation') {
    const { copyBefore, copyAfter } = placement;
    must(
      [copyBefore, copyAfter].every((count) => Number.isInteger(count) && count >= 0),
      `${where} copies ${copyBefore} bytes before and ${copyAfter} after`,
    );
    must(copyBefore <= placement.offset, `${where} copies to before its storage begins`);
    must(copyBefore <= offset, `${where} copies from before the disk begins`);
  } else {
    must(placement.kind === 'in-place', `${where} is of the kind '${String(placement.kind)}'`);
  }
  return placement;
}

function addContract(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  group.add(
    'write-3',
    `placements of all shapes: ${name}`,
    needing(subject, 'write', async () => {
      const { image: bytes, content } = await get();
      const image = await subject.open(memoryOf(bytes), { writable: true });
      for (const [offset, length] of requests(await subject.unit(), content.length)) {
        const placement = await placed(image, offset, length);
        if (placement.kind === 'allocation') {
          mustCoverClusters(placement, image.clusterSize, offset);
          placement.abort();
        }
      }
      await image.close();
    }),
  );
  group.add(
    'write-5',
    `fresh space: ${name}`,
    needing(subject, 'write', async () => {
      const { image: bytes, content } = await get();
      const storage = memoryOf(bytes);
      const image = await subject.open(storage, { writable: true });
      let fresh = 0;
      for (const [offset, length] of requests(await subject.unit(), content.length)) {
        const placement = await placed(image, offset, length);
        if (placement.kind === 'allocation') {
          fresh += placement.fresh ? 1 : 0;
          if (placement.fresh) {
            const space = await spaceOf(placement);
            must(
              space.every((byte) => byte === 0),
              `the space at ${placement.offset} is called fresh and is not zero`,
            );
          }
          placement.abort();
        }
      }
      await image.close();
      return fresh === 0 ? 'no space is called fresh' : undefined;
    }),
  );
}

/** Data and edges fill whole units of allocation: those of the disk that they are in. */
function mustCoverClusters(placement: Allocation, clusterSize: number, offset: number): void {
  const { copyBefore, copyAfter, length } = placement;
  must(
    copyBefore < clusterSize && copyAfter < clusterSize,
    `copies ${copyBefore} and ${copyAfter} bytes at ${offset} with clusters of ${clusterSize}`,
  );
  const start = offset - copyBefore;
  const end = offset + length + copyAfter;
  must(
    Math.floor(offset / clusterSize) === Math.floor(start / clusterSize) &&
      Math.floor((offset + length - 1) / clusterSize) === Math.floor((end - 1) / clusterSize),
    `the edges of a write of ${length} bytes at ${offset} lie in other clusters than the write`,
  );
}

async function spaceOf(placement: Allocation): Promise<Uint8Array> {
  const { storage, offset, length, copyBefore, copyAfter } = placement;
  const space = new Uint8Array(copyBefore + length + copyAfter);
  await storage.read(space, offset - copyBefore);
  return space;
}

function addAbort(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  group.add(
    'write-4',
    `aborted: ${name}`,
    needing(subject, 'write', async () => {
      const { image: bytes, content, backing } = await get();
      const storage = memoryOf(bytes);
      const image = await subject.open(storage, { writable: true });
      let allocations = 0;
      for (const [offset, length] of requests(await subject.unit(), content.length)) {
        const placement = await placed(image, offset, length);
        if (placement.kind === 'allocation') {
          // What a write that failed half-way leaves in the space.
          await placement.storage.write(pattern(3, 0, placement.length), placement.offset);
          placement.abort();
          allocations += 1;
        }
      }
      const disk = subject.diskOf(image, storage, { writable: true, backing });
      mustEqual(await readAll(disk), content, 'after aborted placements');
      const unit = await subject.unit();
      const expected = content.slice();
      const written = pattern(4, unit, Math.min(unit + 5, expected.length - unit));
      expected.set(written, unit);
      await disk.write(written, unit);
      mustEqual(await readAll(disk), expected, 'after a write that followed');
      await disk.close();
      mustEqual(await reopened(subject, storage, backing), expected, 'after reopening');
      await mustBeSound(subject, storage, { leaks: 'allowed' });
      return allocations === 0 ? 'nothing was allocated' : undefined;
    }),
  );
}

function addCommit(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  group.add(
    'write-6',
    `mapped after the commit: ${name}`,
    needing(subject, 'write', async () => {
      const { image: bytes, content } = await get();
      const storage = memoryOf(bytes);
      const image = await subject.open(storage, { writable: true });
      for (const [offset, length] of requests(await subject.unit(), content.length)) {
        const placement = await placed(image, offset, length);
        if (placement.cipher !== undefined) {
          await image.close();
          return 'the image is encrypted';
        }
        if (placement.kind === 'allocation') {
          const space = await spaceOf(placement);
          await placement.storage.write(space, placement.offset - placement.copyBefore);
        }
        await placement.storage.write(pattern(5, offset, placement.length), placement.offset);
        if (placement.kind === 'allocation') {
          await placement.commit();
        }
        await mustLeadTo(image, placement, offset, storage);
      }
      await image.close();
      return undefined;
    }),
  );
}

async function mustLeadTo(
  image: Image,
  placement: Placement,
  offset: number,
  storage: Storage,
): Promise<void> {
  for (const within of [0, placement.length - 1]) {
    const extent = await image.map(offset + within, 1);
    const found = describeByte(extent, 0, storage);
    const place = placement.storage === storage ? 'own' : placement.storage.location;
    const expected = `data at ${placement.offset + within} of ${place}`;
    if (extent.kind === 'data' && extent.storage !== storage && place !== 'own') {
      must(extent.offset === placement.offset + within, `${found} instead of ${expected}`);
    } else {
      must(
        found === expected,
        `byte ${offset + within} is ${found}, and was placed as ${expected}`,
      );
    }
  }
}

function addZero(group: CheckGroup, subject: Subject, { name, get }: NamedSample): void {
  group.add(
    'zero-2',
    `what zero returns: ${name}`,
    needing(subject, 'zero', async () => {
      const { image: bytes, content } = await get();
      const image = await subject.open(memoryOf(bytes), { writable: true });
      const { clusterSize, zero, size } = image;
      must(zero !== undefined, 'an image that was opened for writing has no zero');
      const unit = await subject.unit();
      for (const start of [0, unit, unit * 4, unit * 8]) {
        for (const [end, unmap] of [
          [start + unit, true],
          [start + unit * 3, false],
          [content.length, true],
        ] as const) {
          if (end <= start || end > content.length) {
            continue;
          }
          const done = await zero.call(image, start, end - start, { unmap, zeroBelow: false });
          must(
            Number.isInteger(done) && done >= 0 && done <= end - start,
            `zero(${start}, ${end - start}) did ${done} bytes`,
          );
          must(
            done % clusterSize === 0 || start + done === size,
            `zero(${start}, ${end - start}) did ${done} bytes, which are no whole clusters`,
          );
          for (let position = start; position < start + done; ) {
            const extent = await image.map(position, start + done - position);
            must(
              extent.kind === 'zero' || extent.kind === 'data',
              `byte ${position} is '${extent.kind}' after it was zeroed over a layer below`,
            );
            position += extent.length;
          }
        }
      }
      await image.close();
    }),
  );
}
