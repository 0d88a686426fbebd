import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { CACHE_MODES } from '@lamella/core';
import { type FileStorage, FileStorageDriver, type NativeCalls } from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import fc from 'fast-check';
import t from 'tap';
import { fails, HELPERS, pattern } from './helpers.js';

const O_DSYNC = 0o10000;
const O_DIRECT = 0o40000;
const linux = process.platform === 'linux';
const skip = linux ? false : 'the flags of descriptors are looked up in /proc';

/** Whether direct I/O works where the tests keep their files. */
async function directWorks(): Promise<boolean> {
  const folder = mkdtempSync('/tmp/lamella-');
  try {
    writeFileSync(`${folder}/x`, new Uint8Array(8192));
    const options = { writable: true, cache: 'none' } as const;
    await (await new FileStorageDriver({}).open(`${folder}/x`, options)).close();
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const noDirect = linux && (await directWorks()) ? false : 'no O_DIRECT on the file system of /tmp';

/** Flags of every descriptor of this process that has the file open. */
function flagsOf(path: string): number[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) !== path) {
        return [];
      }
      const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
      return [Number.parseInt(flags?.[1] ?? '', 8)];
    } catch {
      return [];
    }
  });
}

t.test('the descriptors have the flags that keep the promise', { skip }, async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), pattern(10_000));
  for (const cache of CACHE_MODES) {
    const direct = cache === 'none' || cache === 'directsync';
    if (direct && noDirect !== false) {
      t.pass('direct I/O left out', { skip: noDirect });
      continue;
    }
    const storage = await new FileStorageDriver().open(at('file'), { writable: true, cache });
    const flags = flagsOf(at('file'));
    t.equal(flags.length, direct ? 2 : 1);
    t.equal(
      flags.some((flag) => (flag & O_DIRECT) !== 0),
      direct,
      `${cache}: O_DIRECT`,
    );
    const sync = cache === 'writethrough' || cache === 'directsync';
    t.equal(
      flags.every((flag) => (flag & O_DSYNC) !== 0),
      sync,
      `${cache}: O_DSYNC`,
    );
    t.equal(
      flags.some((flag) => (flag & O_DSYNC) !== 0),
      sync,
    );
    await storage.close();
    t.strictSame(flagsOf(at('file')), [], 'closed');
  }
});

for (const [name, native] of HELPERS) {
  for (const cache of CACHE_MODES) {
    const direct = cache === 'none' || cache === 'directsync';
    t.test(`${name}, ${cache}`, { skip: direct ? noDirect : false }, async (t) => {
      const at = paths(t);
      const path = at('file');
      const make = (content: Uint8Array, options: { cached?: NativeCalls } = {}) => {
        writeFileSync(path, content);
        return new FileStorageDriver(options.cached ?? native).open(path, {
          writable: true,
          cache,
        });
      };

      t.test('a file never gets longer than what was written', async (t) => {
        for (const size of [0, 1, 511, 512, 513, 4095, 4096, 5000]) {
          for (const [offset, length] of [
            [0, 1],
            [0, 512],
            [100, 600],
            [4000, 200],
            [4096, 4096],
            [6000, 1],
            [9000, 3000],
          ] as const) {
            const expected = new Uint8Array(Math.max(size, offset + length));
            expected.set(pattern(size));
            expected.set(pattern(length, 9), offset);
            const storage = await make(pattern(size));
            await storage.write(pattern(length, 9), offset);
            t.equal(statSync(path).size, expected.length);
            t.equal(storage.size, expected.length);
            const back = new Uint8Array(expected.length + 700).fill(7);
            await storage.read(back, 0);
            t.equal(Buffer.compare(back.subarray(0, expected.length), expected), 0);
            t.ok(
              back.subarray(expected.length).every((byte) => byte === 0),
              'zeroes past the end',
            );
            await storage.close();
            t.equal(
              Buffer.compare(readFileSync(path), expected),
              0,
              `${length} at ${offset}, ${size}`,
            );
          }
        }
      });

      t.test('long requests', async (t) => {
        const storage = await make(new Uint8Array(0));
        const content = pattern(3_000_123);
        await storage.writev([content.subarray(0, 700_001), content.subarray(700_001)], 77);
        const back = new Uint8Array(content.length);
        await storage.read(back, 77);
        t.equal(Buffer.compare(back, content), 0);
        await storage.flush();
        await storage.close();
        t.equal(Buffer.compare(readFileSync(path).subarray(77), content), 0);
      });

      t.test('neighbours in one block at the same time', async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.nat(60_000),
            fc.array(
              fc.record({
                gap: fc.oneof(fc.constant(0), fc.nat(40), fc.nat(3000)),
                length: fc.oneof(
                  fc.nat(40),
                  fc.nat(700),
                  fc.constant(512),
                  fc.constant(4096),
                  fc.nat(9000),
                ),
                kind: fc.constantFrom(
                  'write',
                  'write',
                  'write',
                  'writev',
                  'zero',
                  'discard',
                  'read',
                ),
                seed: fc.nat(250),
              }),
              { minLength: 2, maxLength: 40 },
            ),
            fc.integer({ min: 1, max: 1 << 30 }),
            async (size, requests, order) => {
              const storage = await make(pattern(size));
              await atOnce(storage, path, size, requests, order);
            },
          ),
          { numRuns: cache === 'writethrough' || cache === 'directsync' ? 15 : 40 },
        );
      });

      t.test('read-only', async (t) => {
        writeFileSync(path, pattern(5000));
        const storage = await new FileStorageDriver(native).open(path, { writable: false, cache });
        const back = new Uint8Array(3000);
        await storage.read(back, 1001);
        t.equal(Buffer.compare(back, pattern(5000).subarray(1001, 4001)), 0);
        await storage.flush();
        await storage.close();
      });
    });
  }
}

interface Step {
  readonly gap: number;
  readonly length: number;
  readonly kind: string;
  readonly seed: number;
}

/** Starts requests for ranges that do not overlap, in any order, without waiting; then compares all. */
async function atOnce(
  storage: FileStorage,
  path: string,
  size: number,
  requests: readonly Step[],
  order: number,
): Promise<void> {
  let offset = 0;
  let end = size;
  const placed = requests.map((request) => {
    offset += request.gap;
    const start = offset;
    offset += request.length;
    return { ...request, start };
  });
  const model = new Uint8Array(Math.max(size, offset));
  model.set(pattern(size));
  const old = model.slice();
  const checks: (() => void)[] = [];
  const dropped: (readonly [number, number])[] = [];
  const shuffled = placed
    .map((request, i) => [(i * 7919 + order) % 1_000_003, request] as const)
    .sort(([a], [b]) => a - b);
  const work: unknown[] = [];
  for (const [, { kind, start, length, seed }] of shuffled) {
    const bytes = pattern(length, seed);
    if (kind === 'zero') {
      model.fill(0, start, start + length);
      work.push(storage.writeZeroes(start, length, { unmap: seed % 2 === 0 }));
    } else if (kind === 'discard') {
      dropped.push([start, start + length]);
      work.push(storage.discard(start, length));
      continue;
    } else if (kind === 'read') {
      const back = new Uint8Array(length);
      work.push(storage.read(back, start));
      checks.push(() => same(back, old.subarray(start, start + length), `read at ${start}`));
      continue;
    } else if (kind === 'writev') {
      model.set(bytes, start);
      const cut = seed % (length + 1);
      work.push(storage.writev([bytes.subarray(0, cut), bytes.subarray(cut)], start));
    } else {
      model.set(bytes, start);
      work.push(storage.write(bytes, start));
    }
    end = length > 0 ? Math.max(end, start + length) : end;
  }
  await Promise.all(work);
  await storage.flush();
  for (const check of checks) {
    check();
  }
  const through = new Uint8Array(end);
  await storage.read(through, 0);
  if (storage.size !== end || statSync(path).size !== end) {
    throw new Error(`size ${storage.size}, file ${statSync(path).size}, should be ${end}`);
  }
  await storage.close();
  const content = readFileSync(path);
  for (const [from, to] of dropped) {
    // Zero or as before, byte by byte.
    for (let i = from; i < Math.min(to, end); i += 1) {
      if (content[i] === 0) {
        model[i] = 0;
      }
    }
  }
  same(content, model.subarray(0, end), 'file');
  same(through, model.subarray(0, end), 'read back');
}

function same(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) !== 0) {
    const at = actual.findIndex((byte, i) => byte !== expected[i]);
    throw new Error(`${what} differs from ${at} on: ${actual[at]}, should be ${expected[at]}`);
  }
}

t.test('where nothing goes past the page cache, it is said', { skip }, async (t) => {
  // A file in /proc has no direct I/O, whatever the machine.
  await fails(t, 'UNSUPPORTED', () =>
    new FileStorageDriver().open('/proc/self/status', { writable: false, cache: 'none' }),
  );
});
