import { join } from 'node:path';
import { type MemoryStorage, type OptionValue, type Preallocation } from '@lamella/core';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { content, filled, newImage, openDisk } from './support/disks.js';
import { LUKS, newEncrypted, PASSPHRASE, qemuCheckEncrypted } from './support/encrypted.js';
import {
  directory,
  loadFile,
  qemuCheck,
  qemuContent,
  qemuImg,
  qemuTest,
  saveFile,
} from './support/qemu.js';
import { openWhole } from './support/whole.js';

const UNIT = 512;
const MAX_UNITS = 3000;

type Step =
  | {
      readonly kind: 'write' | 'zero' | 'discard';
      readonly at: number;
      readonly units: number;
      readonly value: number;
    }
  | { readonly kind: 'resize'; readonly units: number; readonly preallocation: Preallocation }
  | { readonly kind: 'compress'; readonly at: number; readonly value: number }
  | { readonly kind: 'reopen' | 'snapshot' };

const modes = ['off', 'off', 'metadata', 'falloc', 'full'] as const;
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('write' as const, 'write' as const, 'zero' as const, 'discard' as const),
    at: fc.nat(MAX_UNITS),
    units: fc.integer({ min: 1, max: 200 }),
    value: fc.integer({ min: 1, max: 255 }),
  }),
  fc.record({
    kind: fc.constant('resize' as const),
    units: fc.nat(MAX_UNITS),
    preallocation: fc.constantFrom(...modes),
  }),
  fc.record({
    kind: fc.constant('compress' as const),
    at: fc.nat(MAX_UNITS),
    value: fc.integer({ min: 1, max: 255 }),
  }),
  fc.record({ kind: fc.constantFrom('reopen' as const, 'snapshot' as const) }),
);

interface Kind {
  readonly options: Record<string, OptionValue>;
  readonly backingUnits?: number;
  readonly encrypted?: boolean;
}

/** An image beside what its disk should hold. */
class Model {
  readonly #t: Test;
  readonly #kind: Kind;
  readonly #path: string;
  readonly #base: MemoryStorage | undefined;
  #storage: MemoryStorage;
  #expected: Uint8Array;
  #snapshots = 0;
  #seen: Uint8Array[] = [];

  private constructor(
    t: Test,
    kind: Kind,
    path: string,
    storage: MemoryStorage,
    base: MemoryStorage | undefined,
    expected: Uint8Array,
  ) {
    this.#t = t;
    this.#kind = kind;
    this.#path = path;
    this.#storage = storage;
    this.#base = base;
    this.#expected = expected;
  }

  static async make(t: Test, kind: Kind, dir: string): Promise<Model> {
    const units = 300;
    const path = join(dir, 'a.qcow2');
    if (kind.encrypted === true) {
      const storage = await newEncrypted(units * UNIT, { ...LUKS, ...kind.options });
      return new Model(t, kind, path, storage, undefined, new Uint8Array(units * UNIT));
    }
    if (kind.backingUnits === undefined) {
      const storage = await newImage(units * UNIT, kind.options);
      return new Model(t, kind, path, storage, undefined, new Uint8Array(units * UNIT));
    }
    const base = await newImage(kind.backingUnits * UNIT, {});
    const disk = await openDisk([base], { writable: true });
    await disk.write(filled(kind.backingUnits * UNIT, 200), 0);
    await disk.close();
    const location = join(dir, 'base.qcow2');
    await saveFile(base, location);
    const storage = await newImage(units * UNIT, kind.options, { location, format: 'qcow2' });
    const expected = new Uint8Array(units * UNIT).fill(
      200,
      0,
      Math.min(units, kind.backingUnits) * UNIT,
    );
    return new Model(t, kind, path, storage, base, expected);
  }

  #open() {
    const passphrase = this.#kind.encrypted === true ? PASSPHRASE : undefined;
    const storages =
      this.#base === undefined
        ? ([this.#storage] as const)
        : ([this.#storage, this.#base] as const);
    return openWhole(storages, { writable: true, passphrase });
  }

  async run(list: readonly Step[]): Promise<void> {
    let disk = await this.#open();
    for (const step of list) {
      const { length } = this.#expected;
      switch (step.kind) {
        case 'write':
        case 'zero':
        case 'discard': {
          const offset = Math.min(step.at * UNIT + 100, length);
          const bytes = Math.min(step.units * UNIT, length - offset);
          const value = step.kind === 'write' ? step.value : 0;
          if (step.kind === 'write') {
            await disk.write(filled(bytes, value), offset);
          } else if (step.kind === 'zero') {
            await disk.writeZeroes(offset, bytes, { unmap: step.value % 2 === 0 });
          } else {
            await disk.writeZeroes(offset, bytes);
            await disk.discard(offset, bytes);
          }
          this.#expected.fill(value, offset, offset + bytes);
          break;
        }
        case 'compress': {
          const cluster = Number(this.#kind.options.cluster_size ?? 65536);
          const offset =
            Math.min(step.at * UNIT, length) - (Math.min(step.at * UNIT, length) % cluster);
          const bytes = Math.min(cluster, length - offset);
          if (bytes > 0 && this.#kind.encrypted !== true) {
            await disk.writeCompressed(filled(bytes, step.value), offset);
            this.#expected.fill(step.value, offset, offset + bytes);
          }
          break;
        }
        case 'resize':
          await this.#resize(disk, step.units * UNIT, step.preallocation);
          break;
        default:
          await disk.close();
          if (step.kind === 'snapshot' && this.#kind.encrypted !== true && this.#snapshots < 2) {
            await this.#snapshot();
          }
          disk = await this.#open();
      }
      const seen = await content(disk);
      if (Buffer.compare(seen, this.#expected) !== 0) {
        const at = seen.findIndex((byte, index) => byte !== this.#expected[index]);
        throw new Error(
          `after ${JSON.stringify(step)}: byte ${at} is ${seen[at]}, not ${this.#expected[at]}`,
        );
      }
    }
    await disk.close();
    await this.#finish();
  }

  async #resize(
    disk: Awaited<ReturnType<typeof openDisk>>,
    size: number,
    preallocation: Preallocation,
  ) {
    const version2 = this.#kind.options.compat === '0.10';
    if (version2 && this.#snapshots > 0 && size !== disk.size) {
      await this.#t.rejects(disk.resize(size), { code: 'UNSUPPORTED' });
      return;
    }
    await disk.resize(size, { preallocation: size > disk.size ? preallocation : 'off' });
    const old = this.#expected;
    this.#expected = new Uint8Array(size);
    this.#expected.set(old.subarray(0, size));
  }

  async #snapshot(): Promise<void> {
    await saveFile(this.#storage, this.#path);
    qemuImg('snapshot', '-c', `s${this.#snapshots}`, this.#path);
    this.#seen.push(this.#expected.slice());
    this.#snapshots += 1;
    this.#storage = loadFile(this.#path);
  }

  async #finish(): Promise<void> {
    await saveFile(this.#storage, this.#path);
    if (this.#kind.encrypted === true) {
      const code = qemuCheckEncrypted(this.#path, PASSPHRASE);
      if (code !== 0) {
        throw new Error(`qemu-img check: ${code}`);
      }
      return;
    }
    const { code, text } = qemuCheck(this.#path);
    if (code !== 0) {
      throw new Error(text);
    }
    if (Buffer.compare(qemuContent(this.#path), this.#expected) !== 0) {
      throw new Error('QEMU reads something else');
    }
    for (const [index, expected] of this.#seen.entries()) {
      if (!applied(index, this.#path)) {
        return;
      }
      if (Buffer.compare(qemuContent(this.#path), expected) !== 0) {
        throw new Error(`snapshot ${index} has changed`);
      }
    }
  }
}

/** QEMU itself can't grow over a compressed last cluster, so it can't go back to a larger snapshot there. */
function applied(index: number, path: string): boolean {
  try {
    qemuImg('snapshot', '-a', `s${index}`, path);
    return true;
  } catch (error) {
    if (String(error).includes('Failed to zero out new clusters')) {
      return false;
    }
    throw error;
  }
}

const KINDS: readonly Kind[] = [
  { options: { cluster_size: 512 } },
  { options: { cluster_size: 4096 }, backingUnits: 2000 },
  { options: { cluster_size: 65536 } },
  { options: { cluster_size: 4096, compat: '0.10' }, backingUnits: 2500 },
  { options: { cluster_size: 16384, extended_l2: true }, backingUnits: 1000 },
  { options: { cluster_size: 4096 }, encrypted: true },
  { options: { cluster_size: 512, refcount_bits: 64 } },
];

const RUNS = Number(process.env.RESIZE_RUNS ?? 6);

for (const kind of KINDS) {
  t.test(`resized, written and snapshotted: ${JSON.stringify(kind)}`, qemuTest, async (t) => {
    const dir = directory(t);
    const property = fc.asyncProperty(
      fc.array(steps, { minLength: 4, maxLength: 14 }),
      async (list) => {
        await (await Model.make(t, kind, dir)).run(list);
      },
    );
    const details = await fc.check(property, { numRuns: RUNS, includeErrorInReport: true });
    t.notOk(details.failed, fc.defaultReportMessage(details) ?? `seed ${details.seed}`);
    t.comment(`seed ${details.seed}`);
  });
}
