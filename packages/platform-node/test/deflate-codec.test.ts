import { randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { DeflateCodec } from '@lamella/platform-node';
import fc from 'fast-check';
import t from 'tap';
import { fails, pattern } from './helpers.js';

const codec = new DeflateCodec();
const KIB64 = 65536;

t.test('gives back what was compressed, whatever comes after it', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      fc.integer({ min: 1, max: 40 }),
      fc.uint8Array({ maxLength: 600 }),
      async (unit, times, trailing) => {
        const content = Buffer.concat(Array.from({ length: times }, () => unit));
        const input = Buffer.concat([deflateRawSync(content), trailing]);
        const output = await codec.decompress(input, content.length);
        return Buffer.compare(output, content) === 0;
      },
    ),
    { numRuns: 100 },
  );
  t.pass();
});

t.test('many at once', async (t) => {
  const contents = Array.from({ length: 20 }, (_, i) => pattern(KIB64, i));
  const outputs = await Promise.all(
    contents.map((content) => codec.decompress(deflateRawSync(content), KIB64)),
  );
  t.ok(outputs.every((output, i) => Buffer.compare(output, contents[i] ?? output) === 0));
});

t.test('damage is told', async (t) => {
  const stream = deflateRawSync(randomBytes(KIB64));
  await fails(t, 'CORRUPT', () => codec.decompress(stream.subarray(0, 30_000), KIB64));
  await fails(t, 'CORRUPT', () => codec.decompress(new Uint8Array(0), KIB64));
  await fails(t, 'CORRUPT', () => codec.decompress(new Uint8Array(512).fill(0xff), KIB64));
  await fails(t, 'CORRUPT', () => codec.decompress(stream, KIB64 - 1));
  await fails(t, 'CORRUPT', () => codec.decompress(stream, KIB64 + 1));
});

t.test('a bomb takes no more memory than the cluster', async (t) => {
  const bomb = deflateRawSync(Buffer.alloc(256 * 1024 * 1024), { level: 9 });
  const before = process.memoryUsage().rss;
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 1);
  await Promise.all(
    Array.from({ length: 8 }, () => fails(t, 'CORRUPT', () => codec.decompress(bomb, KIB64))),
  );
  clearInterval(watch);
  t.ok(Math.max(peak, process.memoryUsage().rss) - before < 32 * 1024 * 1024);
});

t.test('compresses for a reader with a window of 4 KiB', async (t) => {
  for (const size of [1, 512, 4096, KIB64, 2 ** 21]) {
    const content = pattern(size, size);
    const packed = (await codec.compress(content, size + 100)) ?? new Uint8Array(0);
    t.equal(
      Buffer.compare(inflateRawSync(packed, { windowBits: 12 }), content),
      0,
      `${size} bytes`,
    );
  }
});

t.test('says when nothing is gained', async (t) => {
  t.equal(await codec.compress(randomBytes(KIB64), KIB64 - 1), undefined);
  const packed = await codec.compress(new Uint8Array(KIB64), KIB64 - 1);
  t.ok(packed !== undefined && packed.length < 200);
  t.equal(await codec.compress(new Uint8Array(KIB64), 10), undefined);
});
