import { Disk, isLamellaError, MemoryStorage } from '@lamella/core';
import { FaultyStorage, TracingStorage } from '@lamella/driver-testkit';
import fc from 'fast-check';
import t from 'tap';
import { toyDisk } from './support/toy-disk.js';
import { ToyImage } from './support/toy-image.js';

const CLUSTER = 1024;

function filled(length: number, byte: number): Uint8Array {
  return new Uint8Array(length).fill(byte);
}

async function readAll(disk: ReturnType<typeof toyDisk>): Promise<Uint8Array> {
  const buffer = filled(disk.size, 0xee);
  await disk.read(buffer, 0);
  return buffer;
}

/** A storage whose calls take a varying number of turns, so that requests overlap in many ways. */
function jittery(seed: number): TracingStorage {
  return new TracingStorage(new MemoryStorage(), {
    delay: (call, id) => ((id * 7919 + seed + call.offset) % 5) + 1,
  });
}

t.test('reads fall through to the layer that holds the bytes', async (t) => {
  const base = new ToyImage(3 * CLUSTER + 100, CLUSTER);
  const top = new ToyImage(6 * CLUSTER, CLUSTER);
  await toyDisk(base).write(filled(base.size, 1), 0);
  const disk = toyDisk(top, base);
  await disk.write(filled(10, 2), CLUSTER + 5);
  await disk.writeZeroes(2 * CLUSTER, CLUSTER);

  const expected = filled(6 * CLUSTER, 0);
  expected.fill(1, 0, 2 * CLUSTER);
  expected.fill(2, CLUSTER + 5, CLUSTER + 15);
  expected.fill(1, 3 * CLUSTER, base.size);
  t.same(Buffer.compare(await readAll(disk), expected), 0, 'backing shorter than its overlay');

  const short = toyDisk(new ToyImage(CLUSTER + 7, CLUSTER), base);
  t.same(
    Buffer.compare(await readAll(short), filled(CLUSTER + 7, 1)),
    0,
    'backing longer than its overlay',
  );
});

t.test('a short middle layer ends what lies under it', async (t) => {
  const base = new ToyImage(4 * CLUSTER, CLUSTER);
  await toyDisk(base).write(filled(base.size, 9), 0);
  const disk = toyDisk(
    new ToyImage(4 * CLUSTER, CLUSTER),
    new ToyImage(2 * CLUSTER, CLUSTER),
    base,
  );
  const bytes = await readAll(disk);
  t.equal(bytes[2 * CLUSTER - 1], 9);
  t.equal(bytes[2 * CLUSTER], 0);
});

t.test('copy-on-write joins edges and data in one write', async (t) => {
  const base = new ToyImage(4 * CLUSTER, CLUSTER);
  await toyDisk(base).write(filled(base.size, 1), 0);
  const trace = new TracingStorage(new MemoryStorage());
  const disk = toyDisk(new ToyImage(4 * CLUSTER, CLUSTER, trace), base);
  await disk.write(filled(100, 2), CLUSTER + 50);
  t.same(
    trace.trace.filter(({ phase, method }) => phase === 'begin' && method === 'write'),
    [{ id: 0, phase: 'begin', method: 'write', offset: 0, length: CLUSTER }],
  );
});

t.test('two concurrent writes into one unallocated cluster allocate once', async (t) => {
  const image = new ToyImage(CLUSTER, CLUSTER, jittery(1));
  const disk = toyDisk(image);
  await Promise.all([disk.write(filled(10, 1), 0), disk.write(filled(10, 2), 500)]);
  t.equal(image.allocated, 1);
  const expected = filled(CLUSTER, 0);
  expected.fill(1, 0, 10);
  expected.fill(2, 500, 510);
  t.same(Buffer.compare(await readAll(disk), expected), 0);
});

t.test('writes to different clusters are under way together', async (t) => {
  const trace = jittery(2);
  const disk = toyDisk(new ToyImage(64 * CLUSTER, CLUSTER, trace));
  await Promise.all(
    Array.from({ length: 64 }, (_, i) => disk.write(filled(CLUSTER, i + 1), i * CLUSTER)),
  );
  t.equal(trace.mostAtOnce('write'), 64);
});

t.test('a discard waits for reads and writes of the same cluster', async (t) => {
  const trace = jittery(3);
  const image = new ToyImage(2 * CLUSTER, CLUSTER, trace);
  const disk = toyDisk(image);
  await disk.write(filled(2 * CLUSTER, 5), 0);
  const buffer = filled(CLUSTER, 0);
  const order: string[] = [];
  await Promise.all([
    disk.read(buffer, 0).then(() => order.push('read')),
    disk.write(filled(4, 6), 10).then(() => order.push('write')),
    disk.discard(0, CLUSTER).then(() => order.push('discard')),
  ]);
  t.equal(order.at(-1), 'discard');
  t.equal(buffer[0], 5);
});

t.test('a failed data write is aborted, reported and leaves old content', async (t) => {
  const faulty = new FaultyStorage(new MemoryStorage());
  const image = new ToyImage(4 * CLUSTER, CLUSTER, faulty);
  const disk = toyDisk(image);
  await disk.write(filled(CLUSTER, 1), 0);
  faulty.fails = ({ method }) => method === 'write';
  await t.rejects(disk.write(filled(2 * CLUSTER, 2), CLUSTER), { code: 'IO_ERROR' });
  faulty.fails = () => false;
  t.equal(image.aborted, image.allocated - image.committed);
  t.equal((await readAll(disk))[CLUSTER], 0);
  await disk.write(filled(2 * CLUSTER, 3), CLUSTER);
  t.equal((await readAll(disk))[CLUSTER], 3, 'the same range can be written afterwards');
});

t.test('ranges and states are checked', async (t) => {
  const disk = toyDisk(new ToyImage(CLUSTER, CLUSTER));
  const one = filled(1, 0);
  await t.rejects(disk.read(one, CLUSTER), { code: 'OUT_OF_RANGE' });
  await t.rejects(disk.read(one, -1), { code: 'INVALID_ARGUMENT' });
  await t.rejects(disk.read(one, 0.5), { code: 'INVALID_ARGUMENT' });
  await t.rejects(disk.read(one, Number.NaN), { code: 'INVALID_ARGUMENT' });
  await t.rejects(disk.write(filled(2, 0), CLUSTER - 1), { code: 'OUT_OF_RANGE' });
  await t.rejects(disk.writeZeroes(0, CLUSTER + 1), { code: 'OUT_OF_RANGE' });
  await t.rejects(disk.discard(0, Number.POSITIVE_INFINITY), { code: 'INVALID_ARGUMENT' });
  t.throws(() => disk.extents({ offset: CLUSTER, length: 1 }), { code: 'OUT_OF_RANGE' });
  await disk.read(filled(0, 0), CLUSTER);
  await disk.close();
  await disk.close();
  await t.rejects(disk.read(one, 0), { code: 'CLOSED' });
  await t.rejects(disk.flush(), { code: 'CLOSED' });
});

t.test('close waits for requests under way', async (t) => {
  const trace = jittery(4);
  const disk = toyDisk(new ToyImage(8 * CLUSTER, CLUSTER, trace));
  const write = disk.write(filled(8 * CLUSTER, 1), 0);
  await disk.close();
  t.equal(trace.trace.filter(({ phase }) => phase === 'begin').length * 2, trace.trace.length);
  await write;
});

t.test('extents are gapless, joined and name the layer', async (t) => {
  const base = new ToyImage(4 * CLUSTER, CLUSTER);
  await toyDisk(base).write(filled(3 * CLUSTER, 1), 0);
  const disk = toyDisk(new ToyImage(6 * CLUSTER, CLUSTER), base);
  await disk.write(filled(CLUSTER, 2), CLUSTER);
  const extents = [];
  for await (const extent of disk.extents()) {
    extents.push(extent);
  }
  t.same(extents, [
    { offset: 0, length: CLUSTER, kind: 'data', layer: 1, hostOffset: 0 },
    { offset: CLUSTER, length: CLUSTER, kind: 'data', layer: 0, hostOffset: 0 },
    { offset: 2 * CLUSTER, length: CLUSTER, kind: 'data', layer: 1, hostOffset: 2 * CLUSTER },
    {
      offset: 3 * CLUSTER,
      length: CLUSTER,
      kind: 'unallocated',
      layer: undefined,
      hostOffset: undefined,
    },
    {
      offset: 4 * CLUSTER,
      length: 2 * CLUSTER,
      kind: 'zero',
      layer: undefined,
      hostOffset: undefined,
    },
  ]);
  const controller = new AbortController();
  controller.abort();
  await t.rejects(
    (async () => {
      for await (const extent of disk.extents({ signal: controller.signal })) {
        t.fail(`an extent after abort: ${extent.offset}`);
      }
    })(),
    { code: 'ABORTED' },
  );
});

t.test('what only a left-out backing file holds is an error, not zeroes', async (t) => {
  const image = new ToyImage(2 * CLUSTER, CLUSTER, new MemoryStorage(), {
    backing: { location: 'gone.img' },
  });
  const disk = new Disk([{ format: 'toy', storage: image.storage, image, writable: true }], [], {
    namedBy: 'top',
    reference: 'gone.img',
  });
  await t.rejects(disk.read(filled(10, 0), 0), { code: 'REFERENCE_DENIED' });
  await t.rejects(disk.write(filled(10, 1), 0), { code: 'REFERENCE_DENIED' });
  t.equal(image.aborted, 1, 'the space of the failed copy-on-write is given back');
  await disk.write(filled(CLUSTER, 1), 0);
  const buffer = filled(10, 0);
  await disk.read(buffer, 0);
  t.equal(buffer[0], 1, 'whole clusters need no backing file');
  const kinds = [];
  for await (const { kind } of disk.extents()) {
    kinds.push(kind);
  }
  t.same(kinds, ['data', 'missing']);
});

t.test('random requests under way together agree with a plain buffer', async (t) => {
  const SMALL = 64;
  const clusters = 6;
  const size = clusters * SMALL;
  const range = fc
    .tuple(fc.nat(size - 1), fc.integer({ min: 1, max: 3 * SMALL }))
    .map(([offset, length]) => ({ offset, length: Math.min(length, size - offset) }));
  const request = fc.record({
    kind: fc.constantFrom('write', 'write', 'zero', 'discard', 'read'),
    range,
    byte: fc.integer({ min: 1, max: 255 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(request, { maxLength: 8 }), { maxLength: 12 }),
      fc.nat(1000),
      async (batches, seed) => {
        const base = new ToyImage(size - 40, SMALL);
        await toyDisk(base).write(filled(base.size, 0xb0), 0);
        const disk = toyDisk(new ToyImage(size, SMALL, jittery(seed)), base);
        const model = filled(size, 0);
        model.fill(0xb0, 0, base.size);
        for (const batch of batches) {
          // Requests of one batch are under way together, so each byte may be as any of them left it.
          const possible = Array.from({ length: size }, (_, i) => new Set([model[i] ?? 0]));
          const mark = (from: number, length: number, byte: number): void => {
            for (let i = from; i < from + length; i += 1) {
              possible[i]?.add(byte);
            }
          };
          await Promise.all(
            batch.map(async ({ kind, range: { offset, length }, byte }) => {
              switch (kind) {
                case 'write':
                  mark(offset, length, byte);
                  return disk.write(filled(length, byte), offset);
                case 'zero':
                  mark(offset, length, 0);
                  return disk.writeZeroes(offset, length);
                case 'discard':
                  mark(offset, length, 0);
                  return disk.discard(offset, length);
                default:
                  return disk.read(filled(length, 0), offset);
              }
            }),
          );
          const single = batch.length === 1 ? batch[0] : undefined;
          const actual = await readAll(disk);
          for (let i = 0; i < size; i += 1) {
            const byte = actual[i] ?? -1;
            if (possible[i]?.has(byte) !== true) {
              throw new Error(`byte ${i} is ${byte}`);
            }
            model[i] = byte;
          }
          if (single?.kind === 'write' || single?.kind === 'zero') {
            const { offset, length } = single.range;
            const want = single.kind === 'write' ? single.byte : 0;
            if (actual.subarray(offset, offset + length).some((byte) => byte !== want)) {
              throw new Error(`a ${single.kind} alone did not take effect`);
            }
          }
        }
      },
    ),
    { numRuns: 150 },
  );
  t.pass('150 random sequences');
});

t.test('a driver that answers for no bytes is found out, not asked for ever', async (t) => {
  const image = new ToyImage(2 * CLUSTER, CLUSTER);
  const disk = toyDisk(image);
  image.map = () => ({ kind: 'zero', length: 0, allocated: false });
  await t.rejects(disk.read(filled(10, 0), 0), { code: 'DRIVER_FAILED' });
  const listing = disk.extents();
  await t.rejects(listing.next(), { code: 'DRIVER_FAILED' });
  image.place = () => ({ kind: 'in-place', length: 0, storage: image.storage, offset: 0 });
  await t.rejects(disk.write(filled(10, 0), 0), { code: 'DRIVER_FAILED' });
});

t.test('a driver that answers nonsense is found out', async (t) => {
  const image = new ToyImage(2 * CLUSTER, CLUSTER);
  const disk = toyDisk(image);
  const answers: readonly (readonly [string, object])[] = [
    ['no number of bytes', { kind: 'zero', length: Number.NaN, allocated: false }],
    ['too many bytes', { kind: 'zero', length: 11, allocated: false }],
    ['half a byte', { kind: 'zero', length: 0.5, allocated: false }],
    ['a kind that there is not', { kind: 'hole', length: 10 }],
  ];
  for (const [what, answer] of answers) {
    Object.assign(image, { map: () => answer });
    await t.rejects(disk.read(filled(10, 0), 0), { code: 'DRIVER_FAILED' }, what);
    Object.assign(image, { map: async () => answer });
    await t.rejects(disk.read(filled(10, 0), 0), { code: 'DRIVER_FAILED' }, `${what}, later`);
  }
});

t.test('errors are of one class', async (t) => {
  const disk = toyDisk(new ToyImage(CLUSTER, CLUSTER));
  const error = await disk.read(filled(1, 0), CLUSTER).catch((e: unknown) => e);
  t.ok(isLamellaError(error, 'OUT_OF_RANGE'));
});
