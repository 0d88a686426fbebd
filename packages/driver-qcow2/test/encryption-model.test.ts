import { type Disk, MemoryStorage } from '@lamella/core';
import { WrappedStorage } from '@lamella/driver-testkit';
import fc from 'fast-check';
import t from 'tap';
import { content } from './support/disks.js';
import { newEncrypted, openEncrypted } from './support/encrypted.js';

const SIZE = 64 * 1024;

/** Writes in two parts with time in between, so that whoever looks at the same sector sees it torn. */
class TornStorage extends WrappedStorage {
  override async write(bytes: Uint8Array, offset: number): Promise<void> {
    const half = Math.floor(bytes.length / 2) - 5;
    if (half > 0) {
      await this.inner.write(bytes.subarray(0, half), offset);
    }
    await new Promise((resolve) => setImmediate(resolve));
    await this.inner.write(bytes.subarray(Math.max(0, half)), offset + Math.max(0, half));
  }

  override async writev(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    await this.write(Buffer.concat(pieces), offset);
  }

  override async read(buffer: Uint8Array, offset: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.inner.read(buffer, offset);
  }
}

/** Requests that run at once: they share sectors and clusters, but no byte. */
interface Batch {
  readonly start: number;
  readonly steps: readonly Step[];
}

interface Step {
  readonly kind: 'write' | 'read' | 'zero' | 'discard';
  /** Bytes between this request and the one before. */
  readonly gap: number;
  readonly length: number;
  readonly value: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('write', 'write', 'write', 'read', 'zero', 'discard'),
  gap: fc.oneof(fc.constant(0), fc.nat(700)),
  length: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 6000 })),
  value: fc.integer({ min: 1, max: 255 }),
});

const batch: fc.Arbitrary<Batch> = fc.record({
  start: fc.nat(SIZE / 2),
  steps: fc.array(step, { maxLength: 12 }),
});

/** Runs a batch and checks what reads see of bytes that nothing else touches. */
async function run(disk: Disk, model: Uint8Array, { start, steps }: Batch): Promise<void> {
  const done: Promise<void>[] = [];
  let position = start;
  for (const { kind, gap, length: wanted, value } of steps) {
    const offset = position + gap;
    const length = Math.min(wanted, SIZE - offset);
    if (length <= 0) {
      break;
    }
    position = offset + length;
    if (kind === 'write') {
      const bytes = new Uint8Array(length).fill(value);
      model.fill(value, offset, offset + length);
      done.push(
        disk.write(bytes, offset).then(() => {
          if (bytes.some((byte) => byte !== value)) {
            throw new Error("the caller's bytes were changed");
          }
        }),
      );
    } else if (kind === 'read') {
      const buffer = new Uint8Array(length);
      const expected = model.slice(offset, offset + length);
      done.push(
        disk.read(buffer, offset).then(() => {
          if (Buffer.compare(buffer, expected) !== 0) {
            throw new Error(`bytes at ${offset} were read wrong`);
          }
        }),
      );
    } else if (kind === 'zero') {
      model.fill(0, offset, offset + length);
      done.push(disk.writeZeroes(offset, length, { unmap: value % 2 === 0 }));
    } else {
      done.push(discardKept(disk, model, offset, length));
    }
  }
  await Promise.all(done);
}

/** Whole clusters read as zeroes after a discard here; what is not whole stays. */
async function discardKept(
  disk: Disk,
  model: Uint8Array,
  offset: number,
  length: number,
): Promise<void> {
  const cluster = 4096;
  const from = Math.ceil(offset / cluster) * cluster;
  const to = offset + length === SIZE ? SIZE : Math.floor((offset + length) / cluster) * cluster;
  if (from < to) {
    model.fill(0, from, to);
  }
  await disk.discard(offset, length);
}

/** The bytes of a new image. */
async function newImage(options: Record<string, string | number>): Promise<Uint8Array> {
  const storage = await newEncrypted(SIZE, { ...options, cluster_size: 4096 });
  const bytes = new Uint8Array(storage.size);
  storage.read(bytes, 0);
  return bytes;
}

for (const options of [
  { 'encrypt.format': 'luks', 'encrypt.iter-time': 1 },
  { 'encrypt.format': 'luks', 'encrypt.iter-time': 1, 'encrypt.cipher-mode': 'cbc' },
  { 'encrypt.format': 'aes' },
] as const) {
  t.test(`concurrent unaligned requests: ${Object.values(options).join(' ')}`, async (t) => {
    const template = await newImage(options);
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 6 }), async (batches) => {
        const storage = new TornStorage(MemoryStorage.from(template));
        const disk = await openEncrypted(storage, { writable: true });
        const model = new Uint8Array(SIZE);
        for (const requests of batches) {
          await run(disk, model, requests);
        }
        const bytes = await content(disk);
        await disk.close();
        return Buffer.compare(bytes, model) === 0;
      }),
      { numRuns: 25 },
    );
    t.pass('the disk agreed with a plain array');
  });
}
