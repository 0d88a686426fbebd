import {
  type CompressionCodec,
  Disk,
  type ErrorCode,
  isLamellaError,
  MemoryStorage,
  type Storage,
} from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import { WrappedStorage } from '@lamella/driver-testkit';
import t, { type Test } from 'tap';

const UNIT = 4096;
const COUNT = 64;
const SIZE = UNIT * COUNT - 512;

/** Keeps one byte of clusters that are all alike, and counts what it is asked to do. */
class ToyCodec implements CompressionCodec {
  readonly name = 'deflate';
  decompressed = 0;
  compressing = 0;
  most = 0;

  async decompress(input: Uint8Array, outputLength: number): Promise<Uint8Array> {
    this.decompressed += 1;
    await this.#work();
    return new Uint8Array(outputLength).fill(input[0] ?? 0);
  }

  async compress(input: Uint8Array, maxLength: number): Promise<Uint8Array | undefined> {
    await this.#work();
    const alike = input.every((byte) => byte === input[0]);
    return alike ? input.slice(0, Math.min(700, maxLength)) : undefined;
  }

  async #work(): Promise<void> {
    this.compressing += 1;
    this.most = Math.max(this.most, this.compressing);
    await new Promise((resolve) => setImmediate(resolve));
    this.compressing -= 1;
  }
}

/** A storage whose writes of data fail when told. */
class Failing extends WrappedStorage {
  failing = false;

  override write(bytes: Uint8Array, offset: number) {
    if (this.failing && bytes.length === 700) {
      throw new Error('no write today');
    }
    return super.write(bytes, offset);
  }

  override async close(): Promise<void> {}
}

async function newDisk(codec: CompressionCodec, storage: Storage = new MemoryStorage()) {
  const driver = new Qcow2Driver([codec]);
  await driver.create(storage, { size: SIZE, options: { cluster_size: UNIT } });
  return openDisk(codec, storage);
}

async function openDisk(codec: CompressionCodec, storage: Storage, writable = true): Promise<Disk> {
  const image = await new Qcow2Driver([codec]).open(storage, { writable });
  return new Disk([{ format: 'qcow2', storage, image, writable }]);
}

/** Clusters, each of them filled with its number. */
function numbered(first: number, count: number): Uint8Array {
  return Uint8Array.from({ length: count * UNIT }, (_, i) => first + Math.floor(i / UNIT));
}

async function refuses(t: Test, code: ErrorCode, action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
    t.fail(`nothing was thrown, expected ${code}`);
  } catch (error) {
    t.ok(isLamellaError(error, code), String(error));
  }
}

t.test('clusters are compressed side by side and lie in order', async (t) => {
  const codec = new ToyCodec();
  const storage = new MemoryStorage();
  const disk = await newDisk(codec, storage);
  const before = storage.size;
  const content = numbered(1, COUNT).subarray(0, SIZE);
  content.fill(0, SIZE - (SIZE % UNIT));
  await disk.writeCompressed(content, 0);
  t.ok(codec.most > 8, `${codec.most} at once`);
  await disk.flush();
  t.ok(storage.size - before <= COUNT * 700 + 6 * UNIT, 'packed without gaps');
  const bytes = new Uint8Array(storage.size);
  storage.read(bytes, 0);
  const places = Array.from({ length: COUNT - 1 }, (_, i) =>
    Buffer.from(bytes).indexOf(Buffer.alloc(700, i + 1)),
  );
  t.ok(places.every((place, i) => place > (places[i - 1] ?? 0)));
  const read = new Uint8Array(SIZE);
  codec.most = 0;
  await disk.read(read, 0);
  t.strictSame(Buffer.compare(read, content), 0);
  t.ok(codec.most > 8, `${codec.most} decompressed at once`);
});

t.test('small reads one after the other decompress a cluster once', async (t) => {
  const codec = new ToyCodec();
  const disk = await newDisk(codec);
  await disk.writeCompressed(numbered(1, 8), 0);
  const piece = new Uint8Array(512);
  for (let at = 0; at < 8 * UNIT; at += piece.length) {
    await disk.read(piece, at);
    t.ok(piece.every((byte) => byte === 1 + Math.floor(at / UNIT)));
  }
  t.equal(codec.decompressed, 8);
});

t.test('what does not get smaller is written as it is', async (t) => {
  const disk = await newDisk(new ToyCodec());
  const bytes = Uint8Array.from({ length: 3 * UNIT }, (_, i) => (i < UNIT ? 1 : i % 251));
  await disk.writeCompressed(bytes, UNIT);
  const kinds: string[] = [];
  for await (const { kind, length } of disk.extents({ offset: UNIT, length: 3 * UNIT })) {
    kinds.push(`${kind} ${length / UNIT}`);
  }
  t.strictSame(kinds.length, 2, kinds.join(', '));
  const read = new Uint8Array(bytes.length);
  await disk.read(read, UNIT);
  t.equal(Buffer.compare(read, bytes), 0);
});

t.test('a failed write leaves the old content and wastes nothing for good', async (t) => {
  const storage = new Failing(new MemoryStorage());
  const codec = new ToyCodec();
  const disk = await newDisk(codec, storage);
  await disk.writeCompressed(numbered(1, 4), 0);
  storage.failing = true;
  await t.rejects(disk.writeCompressed(numbered(101, 4), 0), /no write today/);
  storage.failing = false;
  const read = new Uint8Array(4 * UNIT);
  await disk.read(read, 0);
  t.equal(Buffer.compare(read, numbered(1, 4)), 0);
  await disk.flush();
  const size = storage.size;
  for (let i = 0; i < 50; i += 1) {
    await disk.writeCompressed(numbered(i, 4), 0);
    await disk.flush();
  }
  t.ok(storage.size <= size + 8 * UNIT, 'freed space is used again');
  await disk.close();
  const again = await openDisk(codec, storage, false);
  await again.read(read, 0);
  t.equal(Buffer.compare(read, numbered(49, 4)), 0);
});

t.test('nothing is packed into a host cluster that was freed and given out again', async (t) => {
  const disk = await newDisk(new ToyCodec());
  const plain = Uint8Array.from({ length: UNIT }, (_, i) => 1 + (i % 250));
  for (let round = 0; round < 5; round += 1) {
    const base = round * 8 * UNIT;
    await disk.writeCompressed(numbered(1, 1), base);
    await disk.discard(base, UNIT);
    await disk.flush();
    for (let i = 1; i < 5; i += 1) {
      await disk.write(plain, base + i * UNIT);
    }
    await disk.writeCompressed(numbered(2, 2), base + 5 * UNIT);
    const read = new Uint8Array(UNIT);
    for (let i = 1; i < 5; i += 1) {
      await disk.read(read, base + i * UNIT);
      t.equal(Buffer.compare(read, plain), 0, `round ${round}, cluster ${i}`);
    }
  }
});

t.test('what is refused', async (t) => {
  const codec = new ToyCodec();
  const storage = new MemoryStorage();
  const disk = await newDisk(codec, storage);
  const one = numbered(1, 1);
  await refuses(t, 'INVALID_ARGUMENT', () => disk.writeCompressed(one, 512));
  await refuses(t, 'INVALID_ARGUMENT', () => disk.writeCompressed(one.subarray(512), 0));
  await refuses(t, 'OUT_OF_RANGE', () => disk.writeCompressed(one, (COUNT - 1) * UNIT));
  await disk.writeCompressed(new Uint8Array(0), 0);
  await disk.flush();
  const readOnly = await openDisk(codec, storage, false);
  await refuses(t, 'READ_ONLY', () => readOnly.writeCompressed(one, 0));
  const { name } = codec;
  const readsOnly = { name, decompress: (input: Uint8Array) => input };
  const cannot = await openDisk(readsOnly, storage);
  await refuses(t, 'UNSUPPORTED', () => cannot.writeCompressed(one, 0));
});
