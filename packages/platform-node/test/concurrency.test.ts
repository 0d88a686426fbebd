import { readFileSync, statSync, writeFileSync } from 'node:fs';
import type { NativeCalls } from '@lamella/platform-node';
import { FileStorageDriver } from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import fc from 'fast-check';
import t from 'tap';
import { after, HELPERS, pattern } from './helpers.js';

const LIMIT = 300_000;
const PAGE = 4096;

type Change =
  | {
      readonly kind: 'write';
      readonly offset: number;
      readonly length: number;
      readonly seed: number;
    }
  | {
      readonly kind: 'zero';
      readonly offset: number;
      readonly length: number;
      readonly unmap: boolean;
    }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'read'; readonly offset: number; readonly length: number };

const offset = fc.oneof(
  fc.nat(LIMIT),
  fc.nat(Math.floor(LIMIT / PAGE)).map((page) => page * PAGE),
);
const length = fc.oneof(fc.nat(300), fc.nat(20_000), fc.constant(4096));

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('write'), offset, length, seed: fc.nat(200) }),
  fc.record({ kind: fc.constant('zero'), offset, length, unmap: fc.boolean() }),
  fc.record({ kind: fc.constant('truncate'), size: offset }),
  fc.record({ kind: fc.constant('read'), offset, length }),
);

for (const [name, native] of HELPERS) {
  t.test(`${name}: behaves like a buffer`, async (t) => {
    const at = paths(t);
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 30 }), (changes) =>
        sameAsModel(at('model'), native, changes),
      ),
      { numRuns: 60 },
    );
    t.pass();
  });

  t.test(`${name}: growth by zeroes and truncation never cuts off concurrent writes`, async (t) => {
    const at = paths(t);
    const driver = new FileStorageDriver(native);
    for (let round = 0; round < 20; round += 1) {
      const storage = await driver.create(at('grow'), { overwrite: true });
      const slots = 64;
      const slot = 8192;
      const work: unknown[] = [];
      const expected = new Uint8Array(slots * slot);
      for (let i = 0; i < slots; i += 1) {
        const place = (i * 29) % slots;
        if (i % 3 === 0) {
          work.push(storage.writeZeroes(place * slot, slot, { unmap: i % 2 === 0 }));
        } else {
          const bytes = pattern(slot, i);
          expected.set(bytes, place * slot);
          work.push(storage.write(bytes, place * slot));
        }
        if (i % 8 === 0 && storage.size < place * slot) {
          work.push(storage.truncate(place * slot));
        }
      }
      await Promise.all(work);
      const content = readFileSync(at('grow'));
      t.equal(content.length, expected.length);
      t.equal(storage.size, content.length, 'size is what the file has');
      t.equal(Buffer.compare(content, expected), 0);
      await storage.close();
    }
  });

  t.test(`${name}: size is true when writes and truncations meet`, async (t) => {
    const at = paths(t);
    const storage = await new FileStorageDriver(native).create(at('cut'), { overwrite: false });
    const wrong: number[] = [];
    for (let round = 0; round < 60; round += 1) {
      await storage.write(pattern(3000, round), 200_000);
      const work: unknown[] = [storage.write(pattern(3000, 1), 100_000), storage.truncate(1000)];
      await work[0];
      // Now the truncation runs or is about to; these have to come after it.
      for (let i = 0; i < 6; i += 1) {
        work.push(storage.write(pattern(3000, i), ((i * 5 + round) % 16) * 3000));
        await (i % 2 === 0 ? Promise.resolve() : new Promise((resolve) => setImmediate(resolve)));
      }
      await Promise.all(work);
      const { size } = statSync(at('cut'));
      if (storage.size !== size) {
        wrong.push(storage.size - size);
      }
    }
    t.strictSame(wrong, []);
    await storage.close();
  });
}

t.test('a truncation comes after earlier changes and before later ones', async (t) => {
  const at = paths(t);
  writeFileSync(at('order'), pattern(2000));
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const storage = await new FileStorageDriver({
    fallocate: async () => {
      await held;
      return 0;
    },
  }).open(at('order'), { writable: true });
  const work = [
    storage.writeZeroes(0, 100),
    storage.truncate(1000),
    storage.write(pattern(50), 4950),
  ];
  await after(50);
  t.equal(statSync(at('order')).size, 2000, 'all wait for the first');
  release();
  await Promise.all(work);
  t.equal(statSync(at('order')).size, 5000);
  t.equal(storage.size, 5000);
  await storage.close();
});

async function sameAsModel(
  path: string,
  native: NativeCalls,
  changes: readonly Change[],
): Promise<void> {
  const storage = await new FileStorageDriver(native).create(path, { overwrite: true });
  let model = Buffer.alloc(0);
  const grow = (size: number) => {
    if (size > model.length) {
      model = Buffer.concat([model, Buffer.alloc(size - model.length)]);
    }
  };
  try {
    for (const step of changes) {
      if (step.kind === 'write') {
        const bytes = pattern(step.length, step.seed);
        await storage.write(bytes, step.offset);
        if (step.length > 0) {
          grow(step.offset + step.length);
          model.set(bytes, step.offset);
        }
      } else if (step.kind === 'zero') {
        await storage.writeZeroes(step.offset, step.length, { unmap: step.unmap });
        if (step.length > 0) {
          grow(step.offset + step.length);
          model.fill(0, step.offset, step.offset + step.length);
        }
      } else if (step.kind === 'truncate') {
        await storage.truncate(step.size);
        grow(step.size);
        model = model.subarray(0, step.size);
      } else {
        const buffer = new Uint8Array(step.length).fill(0xee);
        await storage.read(buffer, step.offset);
        const expected = Buffer.alloc(step.length);
        model.subarray(step.offset, step.offset + step.length).copy(expected);
        if (Buffer.compare(buffer, expected) !== 0) {
          throw new Error(`read of ${step.length} at ${step.offset} differs`);
        }
      }
      if (storage.size !== model.length) {
        throw new Error(`size ${storage.size}, should be ${model.length}`);
      }
    }
    if (Buffer.compare(readFileSync(path), model) !== 0) {
      throw new Error('content differs');
    }
  } finally {
    await storage.close();
  }
}
