import { randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { DeflateCodec, nativeCalls } from '@lamella/platform-node';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { fails, pattern } from './helpers.js';

const KIB64 = 65536;

const CODECS = {
  zlib: new DeflateCodec(),
  ...(nativeCalls().inflate && { 'libdeflate of the system': new DeflateCodec(nativeCalls()) }),
};

for (const [name, codec] of Object.entries(CODECS)) {
  t.test(`deflate by ${name}`, (t) => behaves(t, codec));
}

async function behaves(t: Test, codec: DeflateCodec): Promise<void> {
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
          const given = new Uint8Array(content.length);
          await codec.decompressInto(input, given);
          return Buffer.compare(output, content) === 0 && Buffer.compare(given, content) === 0;
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
    t.ok(Math.max(peak, process.memoryUsage().rss) - before < 128 * 1024 * 1024);
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
}

t.test('only noise is stored as it is', async (t) => {
  const codec = new DeflateCodec();
  const most = KIB64 - 1;
  for (let i = 0; i < 50; i += 1) {
    t.equal(await codec.compress(randomBytes(KIB64), most), undefined);
  }
  const noise = randomBytes(KIB64);
  const compressible: Record<string, Uint8Array> = {
    'all bytes in turn': Uint8Array.from({ length: KIB64 }, (_, i) => i),
    'noise again after 2 KiB': Uint8Array.from(noise, (_, i) => noise[i % 2048] ?? 0),
    'a quarter of zeroes': Uint8Array.from(noise, (byte, i) => (i % 4096 < 1024 ? 0 : byte)),
    'zeroes at the end': Uint8Array.from(noise, (byte, i) => (i < KIB64 * 0.8 ? byte : 0)),
    'noise of seven bits': Uint8Array.from(noise, (byte) => byte & 127),
    'every other byte zero': Uint8Array.from(noise, (byte, i) => (i % 2 === 0 ? byte : 0)),
    'a short one': Uint8Array.from({ length: 512 }, (_, i) => i),
  };
  for (const [name, content] of Object.entries(compressible)) {
    const compressed = await codec.compress(content, content.length - 1);
    t.ok(compressed !== undefined && compressed.length < content.length * 0.93, name);
  }
});
