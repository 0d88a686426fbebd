import { writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { type Disk, Lamella } from 'lamella';
import t from 'tap';
import { firstDifference, KIB, MIB } from './support/bytes.js';
import { type ContentKind, contentOf } from './support/mixed-content.js';
import { faults, needsQemu, type Options, qemuCheck, qemuCompare } from './support/qemu.js';
import { Temp } from './support/temp.js';

const CLUSTERS = 24;

/** One request; positions and lengths are parts of the disk, so that one history fits every cluster size. */
type Step =
  | {
      readonly kind: 'compress';
      readonly at: number;
      readonly count: number;
      readonly content: ContentKind;
    }
  | { readonly kind: 'write' | 'zero' | 'discard'; readonly from: number; readonly length: number }
  | { readonly kind: 'flush' | 'reopen' | 'together' };

const part = fc.double({ min: 0, max: 0.999, noNaN: true });
const compress = fc.record({
  kind: fc.constant('compress' as const),
  at: fc.nat(CLUSTERS - 1),
  count: fc.integer({ min: 1, max: 6 }),
  content: fc.constantFrom<ContentKind>('text', 'pattern', 'random', 'zeroes'),
});
const change = fc.record({
  kind: fc.constantFrom('write' as const, 'zero' as const, 'discard' as const),
  from: part,
  length: part,
});
const control = fc.record({
  kind: fc.constantFrom('flush' as const, 'reopen' as const, 'together' as const),
});
const history = fc.array(
  fc.oneof(
    { arbitrary: compress, weight: 5 },
    { arbitrary: change, weight: 4 },
    { arbitrary: control, weight: 2 },
  ),
  { minLength: 5, maxLength: 40 },
);

const SPECS: readonly Options[] = [
  { cluster_size: 4 * KIB, compression_type: 'zlib' },
  { cluster_size: 4 * KIB, compression_type: 'zstd' },
  { cluster_size: 64 * KIB, compression_type: 'zstd' },
  { cluster_size: 64 * KIB, compression_type: 'zlib' },
  { cluster_size: 512 * KIB, compression_type: 'zstd' },
  { cluster_size: 2 * MIB, compression_type: 'zstd' },
  { cluster_size: 512, compat: '0.10' },
  { cluster_size: 16 * KIB, extended_l2: true },
  { cluster_size: 4 * KIB, refcount_bits: 1 },
  { cluster_size: 4 * KIB, refcount_bits: 2 },
];

/** A disk, and what it has to hold. */
class Life {
  readonly #path: string;
  readonly #unit: number;
  readonly #lamella = new Lamella();
  readonly model: Uint8Array;
  #disk: Disk | undefined;
  #seed = 0;

  constructor(path: string, unit: number) {
    this.#path = path;
    this.#unit = unit;
    // The last cluster is short, where that leaves whole sectors.
    this.model = new Uint8Array(unit * CLUSTERS - (unit > 512 ? unit / 2 : 0));
  }

  async start(options: Options): Promise<void> {
    const size = this.model.length;
    await this.#lamella.create(this.#path, { format: 'qcow2', size, options, overwrite: true });
    this.#disk = await this.#open();
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      await this.#step(step);
    }
    await this.#compareContent();
    await this.close();
  }

  async close(): Promise<void> {
    await this.#disk?.close();
    this.#disk = undefined;
  }

  #open(): Promise<Disk> {
    return this.#lamella.open(this.#path, { writable: true, cacheSize: 64 * KIB });
  }

  get #current(): Disk {
    if (this.#disk === undefined) {
      throw new Error('the disk is closed');
    }
    return this.#disk;
  }

  async #step(step: Step): Promise<void> {
    const disk = this.#current;
    const size = this.model.length;
    switch (step.kind) {
      case 'compress':
        return this.#compress(step.at * this.#unit, step.count * this.#unit, step.content);
      case 'flush':
        return disk.flush();
      case 'reopen':
        await this.close();
        this.#disk = await this.#open();
        return;
      case 'together':
        return this.#together();
    }
    const from = Math.floor(step.from * size);
    const length = Math.floor(step.length * Math.min(size - from, 3 * this.#unit));
    if (step.kind === 'write') {
      const bytes = contentOf('text', this.#next(), length);
      await disk.write(bytes, from);
      this.model.set(bytes, from);
    } else if (step.kind === 'zero') {
      await disk.writeZeroes(from, length);
      this.model.fill(0, from, from + length);
    } else {
      await disk.discard(from, length);
      await this.#adoptDiscarded(from, from + length);
    }
  }

  async #compress(at: number, length: number, content: ContentKind): Promise<void> {
    const bytes = contentOf(content, this.#next(), Math.min(length, this.model.length - at));
    await this.#current.writeCompressed(bytes, at);
    this.model.set(bytes, at);
  }

  /** Requests to different clusters at once, beside a flush and reads of all of it. */
  async #together(): Promise<void> {
    const whole = new Uint8Array(this.model.length);
    const work = [0, 4, 8, 12, 16, 20].map((cluster) =>
      cluster % 8 === 4
        ? this.#step({ kind: 'write', from: (cluster + 0.3) / CLUSTERS, length: 0.2 })
        : this.#compress(cluster * this.#unit, 2 * this.#unit, 'text'),
    );
    await Promise.all([...work, this.#current.flush(), this.#current.read(whole, 0)]);
  }

  /** Discarded bytes may read as before or as zeroes. */
  async #adoptDiscarded(from: number, end: number): Promise<void> {
    const now = new Uint8Array(end - from);
    await this.#current.read(now, from);
    now.forEach((byte, i) => {
      if (byte !== 0 && byte !== this.model[from + i]) {
        throw new Error(`byte ${from + i} is ${byte} after a discard`);
      }
    });
    this.model.set(now, from);
  }

  async #compareContent(): Promise<void> {
    const whole = new Uint8Array(this.model.length);
    await this.#current.read(whole, 0);
    const difference = firstDifference(whole, this.model);
    if (difference !== undefined) {
      throw new Error(difference);
    }
  }

  #next(): number {
    this.#seed += 1;
    return this.#seed;
  }
}

for (const options of SPECS) {
  const name = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  t.test(`random lives with ${name.join(',')}`, needsQemu, async (t) => {
    const temp = new Temp(t);
    const [image, raw] = [temp.file('image.qcow2'), temp.file('model.raw')];
    const unit = Number(options.cluster_size);
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const life = new Life(image, unit);
        try {
          await life.start(options);
          await life.run(steps);
        } finally {
          await life.close();
        }
        await writeFile(raw, life.model);
        const found = faults(await qemuCheck(image, 'qcow2'));
        if (found !== undefined) {
          throw new Error(found);
        }
        return (await qemuCompare(image, 'qcow2', raw, 'raw')) === 'Images are identical.';
      }),
      { numRuns: (unit >= 512 * KIB ? 4 : 14) * Number(process.env.LAMELLA_SOAK ?? '1') },
    );
    t.pass();
  });
}
