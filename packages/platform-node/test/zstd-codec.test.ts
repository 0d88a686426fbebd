import { randomBytes } from 'node:crypto';
import {
  builtInZstd,
  packagedZstd,
  systemZstd,
  ZstdCodec,
  type ZstdLibrary,
} from '@lamella/platform-node';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { fails, pattern } from './helpers.js';

const KIB64 = 65536;
/** A frame header without content size, with a window of 128 KiB and of 2 GiB. */
const HEADER = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]);
const HUGE_WINDOW = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8]);

const LIBRARIES: readonly (readonly [string, ZstdLibrary | undefined])[] = [
  ['the system', systemZstd()],
  ['the package', packagedZstd()],
  ['Node.js', builtInZstd()],
];

/** A block: type 0 raw, 1 repeated byte, 2 compressed. */
function block(type: number, size: number, content: Uint8Array, last = false): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE((size << 3) | (type << 1) | (last ? 1 : 0), 0, 3);
  return Buffer.concat([header, content]);
}

/** The only compressed block of what a library makes of the input. */
async function compressedBlock(codec: ZstdCodec, input: Uint8Array): Promise<Buffer> {
  const frame = Buffer.from((await codec.compress(input, input.length)) ?? []);
  const header = 9;
  return frame.subarray(header + 3, header + 3 + (frame.readUIntLE(header, 3) >>> 3));
}

for (const [name, library] of LIBRARIES) {
  const skip = library === undefined ? `no zstd by ${name}` : false;
  t.test(`zstd by ${name}`, { skip }, (t) => behaves(t, new ZstdCodec(library)));
}

async function behaves(t: Test, codec: ZstdCodec): Promise<void> {
  t.test('gives back what was compressed, whatever comes after it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 3000 }),
        fc.integer({ min: 20, max: 200 }),
        fc.uint8Array({ maxLength: 600 }),
        async (unit, times, trailing) => {
          const content = Buffer.concat(Array.from({ length: times }, () => unit));
          const frame = await codec.compress(content, content.length + 100);
          const input = Buffer.concat([frame ?? new Uint8Array(0), trailing]);
          const output = await codec.decompress(input, content.length);
          const given = new Uint8Array(content.length);
          await codec.decompressInto(input, given);
          return Buffer.compare(output, content) === 0 && Buffer.compare(given, content) === 0;
        },
      ),
      { numRuns: 100 },
    );
  });

  t.test('sizes at which blocks end', async (t) => {
    for (const size of [1, 255, 256, 512, 4096, 131071, 131072, 131073, 262144, 2 ** 21]) {
      const content = pattern(size, size);
      const frame = await codec.compress(content, size + 100);
      const output = await codec.decompress(frame ?? new Uint8Array(0), size);
      t.equal(Buffer.compare(output, content), 0, `${size} bytes`);
    }
  });

  t.test('many at once', async (t) => {
    const contents = Array.from({ length: 40 }, (_, i) => pattern(KIB64, i));
    const frames = await Promise.all(contents.map((content) => codec.compress(content, KIB64)));
    const outputs = await Promise.all(
      frames.map((frame) => codec.decompress(frame ?? new Uint8Array(0), KIB64)),
    );
    t.ok(outputs.every((output, i) => Buffer.compare(output, contents[i] ?? output) === 0));
  });

  t.test('says when nothing is gained', async (t) => {
    t.equal(await codec.compress(randomBytes(KIB64), KIB64 - 1), undefined);
    const small = await codec.compress(new Uint8Array(KIB64), KIB64 - 1);
    t.ok(small !== undefined && small.length < 100);
  });

  t.test('damage is told', async (t) => {
    const content = randomBytes(KIB64).map((byte) => byte & 7);
    const frame = (await codec.compress(content, KIB64)) ?? new Uint8Array(0);
    const bad = (input: Uint8Array, length = KIB64) =>
      fails(t, 'CORRUPT', () => codec.decompress(input, length));
    for (const length of [0, 3, 4, 5, 6, 8, 9, 11, 12, 100, frame.length - 1]) {
      await bad(frame.subarray(0, length));
    }
    await bad(new Uint8Array(512).fill(0xff));
    await bad(new Uint8Array(512));
    await bad(frame, KIB64 - 1);
    await bad(frame, KIB64 + 1);
    const changed = (at: number, value: number) => {
      const copy = Buffer.from(frame);
      copy[at] = value;
      return copy;
    };
    await bad(changed(4, 0xa8));
    await bad(changed(4, 0xa1));
    await bad(changed(9, 0x07));
    await bad(Buffer.concat([frame.subarray(0, 12), randomBytes(frame.length)]));
  });

  t.test('frames without a content size, in several blocks, are read', async (t) => {
    const raw = randomBytes(1000);
    const blocks = [
      block(0, 1000, raw),
      block(1, 3000, Buffer.of(7)),
      block(0, 0, Buffer.of(), true),
    ];
    const expected = Buffer.concat([raw, Buffer.alloc(3000, 7)]);
    for (const header of [HEADER, HUGE_WINDOW]) {
      const output = await codec.decompress(Buffer.concat([header, ...blocks]), 4000);
      t.equal(Buffer.compare(output, expected), 0);
    }
    await fails(t, 'CORRUPT', () => codec.decompress(Buffer.concat([HEADER, ...blocks]), 3999));
    await fails(t, 'CORRUPT', () => codec.decompress(Buffer.concat([HEADER, ...blocks]), 4001));
  });

  t.test('bombs take no more memory than a few clusters', async (t) => {
    const repeated = Array.from({ length: 4000 }, () => block(1, 131072, Buffer.of(0)));
    const content = Buffer.alloc(KIB64, 'ab');
    const one = await compressedBlock(codec, content);
    const packed = Array.from({ length: 4000 }, () => block(2, one.length, one));
    const last = block(0, 0, Buffer.of(), true);
    const lie = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0x10, 0, 0, 0]);
    const bombs = [
      Buffer.concat([HEADER, ...repeated, last]),
      Buffer.concat([HEADER, ...packed, last]),
      Buffer.concat([HUGE_WINDOW, ...packed.slice(0, 16), last]),
      Buffer.concat([lie, ...packed, last]),
    ];
    const before = process.memoryUsage().rss;
    let peak = 0;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 1);
    await Promise.all(
      [...bombs, ...bombs].map((bomb) => fails(t, 'CORRUPT', () => codec.decompress(bomb, KIB64))),
    );
    clearInterval(watch);
    t.ok(Math.max(peak, process.memoryUsage().rss) - before < 128 * 1024 * 1024);
  });

  t.test('bombs that pass for large clusters are taken one at a time', async (t) => {
    const size = 2 ** 21;
    const one = await compressedBlock(codec, Buffer.alloc(131072, 'ab'));
    const packed = Array.from({ length: 500 }, () => block(2, one.length, one));
    const bomb = Buffer.concat([HEADER, ...packed, block(0, 0, Buffer.of(), true)]);
    const before = process.memoryUsage().rss;
    await Promise.all(
      Array.from({ length: 16 }, () => fails(t, 'CORRUPT', () => codec.decompress(bomb, size))),
    );
    t.ok(process.memoryUsage().rss - before < 400 * 1024 * 1024);
  });

  t.test('random damage gives the right number of bytes or CORRUPT', async () => {
    const frame = (await codec.compress(pattern(4096, 1), 4200)) ?? new Uint8Array(0);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (changes) => {
          const damaged = Uint8Array.from(frame);
          for (const [at, value] of changes) {
            damaged[at] = value;
          }
          try {
            return (await codec.decompress(damaged, 4096)).length === 4096;
          } catch (error) {
            return error instanceof Error && 'code' in error && error.code === 'CORRUPT';
          }
        },
      ),
      { numRuns: 500 },
    );
  });
}

t.test('what one library makes, the other reads', async (t) => {
  const [packaged, builtIn] = [packagedZstd(), builtInZstd()];
  if (packaged === undefined || builtIn === undefined) {
    t.pass('there is only one');
    return;
  }
  for (const [from, to] of [
    [packaged, builtIn],
    [builtIn, packaged],
  ] as const) {
    const content = pattern(300_000, 5);
    const frame = await new ZstdCodec(from).compress(content, 400_000);
    const output = await new ZstdCodec(to).decompress(frame ?? new Uint8Array(0), content.length);
    t.equal(Buffer.compare(output, content), 0);
  }
});

t.test('without a library the error says what to do', async (t) => {
  const codec = new ZstdCodec(undefined);
  await fails(t, 'UNSUPPORTED', () => codec.decompress(new Uint8Array(10), 10));
  await fails(t, 'UNSUPPORTED', () => codec.compress(new Uint8Array(10), 10));
  t.equal(builtInZstd({}), undefined);
});
