import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Disk, isLamellaError, type MemoryStorage, type OptionValue } from '@lamella/core';
import fc from 'fast-check';
import t from 'tap';
import { directory, HAVE_QEMU, qemuCheck, qemuImg, saveFile } from './support/qemu.js';
import {
  compressingDriver,
  content,
  createOptions,
  newStorage,
  open,
} from './support/snapshots.js';
import { verify } from './support/verify.js';

/** One step; numbers are fractions of what there is to choose from. */
type Step =
  | {
      readonly kind: 'write' | 'zero' | 'keep' | 'discard' | 'compress';
      readonly at: number;
      readonly length: number;
    }
  | { readonly kind: 'create' | 'reopen' | 'flush' }
  | { readonly kind: 'apply' | 'delete' | 'read'; readonly which: number };

const fraction = fc.nat(999).map((value) => value / 1000);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom('write', 'write', 'write', 'zero', 'keep', 'discard', 'compress'),
      at: fraction,
      length: fraction,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('create', 'create', 'reopen', 'flush') }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('apply', 'delete', 'read'), which: fraction }),
  },
) as fc.Arbitrary<Step>;

/** A disk and what it and its snapshots hold. */
class Model {
  readonly snapshots = new Map<string, Uint8Array>();
  current: Uint8Array;

  constructor(
    readonly storage: MemoryStorage,
    public disk: Disk,
    readonly clusterSize: number,
    readonly narrow: boolean,
  ) {
    this.current = new Uint8Array(disk.size);
  }

  async run(step: Step, value: number): Promise<void> {
    switch (step.kind) {
      case 'create':
        await this.create();
        return;
      case 'flush':
        await this.disk.flush();
        return;
      case 'reopen':
        await this.disk.close();
        this.disk = await open(this.storage, true);
        return;
      case 'apply':
      case 'delete':
      case 'read':
        await this.change(step.kind, step.which);
        return;
      default:
        await this.write(step.kind, step.at, step.length, value);
    }
  }

  async create(): Promise<void> {
    if (this.snapshots.size < 5) {
      await this.unlessTooNarrow(async () => {
        const { id } = await this.disk.snapshots.create({ name: `s${this.snapshots.size}` });
        this.snapshots.set(id, this.current.slice());
      });
    }
  }

  /** Narrow refcounts may refuse, but then nothing must have changed. */
  async unlessTooNarrow(change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } catch (error) {
      if (!this.narrow || !isLamellaError(error, 'LIMIT_EXCEEDED')) {
        throw error;
      }
      await this.assertAll();
    }
  }

  async change(kind: 'apply' | 'delete' | 'read', which: number): Promise<void> {
    const id = [...this.snapshots.keys()][Math.floor(which * this.snapshots.size)];
    if (id === undefined) {
      return;
    }
    if (kind === 'apply') {
      await this.unlessTooNarrow(async () => {
        await this.disk.snapshots.apply({ id });
        this.current = (this.snapshots.get(id) ?? this.current).slice();
      });
    } else if (kind === 'delete') {
      await this.disk.snapshots.delete({ id });
      this.snapshots.delete(id);
    } else {
      await this.assertSnapshot(id);
    }
  }

  async write(
    kind: 'write' | 'zero' | 'keep' | 'discard' | 'compress',
    at: number,
    share: number,
    value: number,
  ): Promise<void> {
    const { size } = this.disk;
    const unit = kind === 'discard' || kind === 'compress' ? this.clusterSize : 1;
    const offset = Math.floor((at * size) / unit) * unit;
    const wanted = Math.ceil((share * share * size) / 3 / unit) * unit;
    const length = Math.min(Math.max(unit, wanted), size - offset);
    const bytes = new Uint8Array(length).fill(kind === 'write' || kind === 'compress' ? value : 0);
    if (kind === 'write') {
      await this.disk.write(bytes, offset);
    } else if (kind === 'compress') {
      await this.disk.writeCompressed(bytes, offset);
    } else if (kind === 'discard') {
      await this.disk.discard(offset, length);
    } else {
      await this.disk.writeZeroes(offset, length, { unmap: kind === 'zero' });
    }
    this.current.set(bytes, offset);
  }

  async assertSnapshot(id: string): Promise<void> {
    await using disk = await this.disk.snapshots.open({ id });
    if (Buffer.compare(await content(disk), this.snapshots.get(id) ?? new Uint8Array(0)) !== 0) {
      throw new Error(`snapshot ${id} differs`);
    }
  }

  async assertAll(): Promise<void> {
    if (Buffer.compare(await content(this.disk), this.current) !== 0) {
      throw new Error('the disk differs');
    }
    for (const id of this.snapshots.keys()) {
      await this.assertSnapshot(id);
    }
  }
}

const CASES: readonly (readonly [Record<string, OptionValue>, number])[] = [
  [{ cluster_size: 512 }, 96 * 1024],
  [{ cluster_size: 512, compat: '0.10' }, 96 * 1024],
  [{ cluster_size: 4096 }, 1024 * 1024 + 512],
  [{ cluster_size: 512, refcount_bits: 1 }, 96 * 1024],
  [{ cluster_size: 512, refcount_bits: 2 }, 96 * 1024],
  [{ cluster_size: 512, refcount_bits: 4 }, 96 * 1024],
  [{ cluster_size: 1024, refcount_bits: 64 }, 128 * 1024],
  [{ cluster_size: 16384, extended_l2: true }, 1024 * 1024],
];

for (const [options, size] of CASES) {
  t.test(`snapshots against a model: ${JSON.stringify(options)}`, async (t) => {
    const clusterSize = Number(options.cluster_size);
    const narrow = Number(options.refcount_bits ?? 16) < 16;
    const dir = directory(t);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const storage = newStorage();
        await compressingDriver.create(storage, createOptions(size, options));
        const model = new Model(storage, await open(storage, true), clusterSize, narrow);
        for (const [index, each] of steps.entries()) {
          await model.run(each, 1 + (index % 255));
        }
        await model.assertAll();
        await model.disk.close();
        const verdict = await verify(storage);
        if (verdict.leaks > 0 || verdict.corruptions.length > 0) {
          throw new Error(JSON.stringify(verdict));
        }
        if (HAVE_QEMU) {
          await assertQemuAgrees(model, join(dir, 'a.qcow2'));
        }
      }),
      { numRuns: 20 },
    );
    t.pass('disk, snapshots and check agreed with the model');
  });
}

async function assertQemuAgrees({ storage, current, snapshots }: Model, path: string) {
  await saveFile(storage, path);
  const { code, text } = qemuCheck(path);
  if (code !== 0) {
    throw new Error(text);
  }
  const [id] = snapshots.keys();
  const which = id === undefined ? [] : ['-l', `snapshot.id=${id}`];
  qemuImg('convert', '-f', 'qcow2', '-O', 'raw', ...which, path, `${path}.raw`);
  const expected = id === undefined ? current : snapshots.get(id);
  if (Buffer.compare(readFileSync(`${path}.raw`), expected ?? new Uint8Array(0)) !== 0) {
    throw new Error('QEMU reads something else');
  }
}
