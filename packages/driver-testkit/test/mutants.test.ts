import {
  type CreateOptions,
  type Image,
  LamellaError,
  type OpenOptions,
  type Storage,
} from '@lamella/core';
import {
  type ConformanceManifest,
  conformanceChecks,
  type DriverSource,
  RULES,
  type RuleId,
  RuleViolation,
} from '@lamella/driver-testkit';
import t from 'tap';
import { FlatDriver, FlatImage } from './support/flat-driver.js';
import { SLAB } from './support/manifest.js';
import {
  LazyStorage,
  now,
  withAllocation,
  withDriver,
  withImage,
  withMap,
  withPlace,
  withStorage,
} from './support/mutants.js';
import { SlabDriver } from './support/slab-driver.js';

/** A driver that breaks one rule: what it does, the rule, the driver, and what its manifest says beside the usual. */
type Mutant = readonly [string, RuleId, DriverSource, Partial<ConformanceManifest>?];

const FLAT: ConformanceManifest = {
  create: { size: 65536 },
  takesAnything: true,
  abilities: { write: true, resize: true },
};

class Creating extends SlabDriver {
  override async create(storage: Storage, options: CreateOptions): Promise<void> {
    await this.before(storage);
    await super.create(storage, this.altered(options));
    await this.after(storage);
  }
  async before(_storage: Storage): Promise<void> {}
  async after(_storage: Storage): Promise<void> {}
  altered(options: CreateOptions): CreateOptions {
    return options;
  }
}

class Opening extends SlabDriver {
  override async open(storage: Storage, options: OpenOptions): Promise<Image> {
    await this.before(storage, options);
    return super.open(storage, options);
  }
  async before(_storage: Storage, _options: OpenOptions): Promise<void> {}
}

let closedImages = 0;
let mapped = 0;
const broken = new WeakSet<Image>();

const zeroTable = async (storage: Storage): Promise<void> => {
  await storage.write(new Uint8Array(4), 512);
};

const MUTANTS: readonly Mutant[] = [
  ['has blanks in its name', 'driver-1', withDriver({ format: 'My Format' })],
  [
    'does not describe an option',
    'driver-2',
    withDriver({
      createOptions: { cluster_size: { type: 'size', description: '', default: 4096 } },
    }),
  ],
  [
    'forgets all images when one is closed',
    'driver-3',
    withImage({
      close: (image) => async () => {
        closedImages += 1;
        await image.close();
      },
      map: (image) => {
        const born = closedImages;
        return (offset: number, length: number) => {
          if (closedImages !== born) {
            throw new Error('closed');
          }
          return image.map(offset, length);
        };
      },
    }),
  ],
  ['has no discard', 'driver-4', withImage({ discard: () => undefined })],
  ['does not know its images', 'probe-1', withDriver({ probe: () => 0 })],
  ['promises a score', 'probe-2', withDriver({ probe: async () => 0 })],
  [
    'takes zeroes for an image',
    'probe-3',
    withDriver({ probe: (head) => (head[0] === 0 || head[0] === 0x53 ? 100 : 0) }),
  ],
  [
    'does not look how long a head is',
    'probe-4',
    withDriver({
      probe: (head) =>
        new DataView(head.buffer, head.byteOffset, 4).getUint32(0, true) === 0x42414c53 ? 100 : 0,
    }),
  ],
  [
    'changes the head',
    'probe-5',
    withDriver({
      probe: (head) => {
        const score = head[0] === 0x53 && head[1] === 0x4c ? 100 : 0;
        head[1] = 0;
        return score;
      },
    }),
  ],
  ['is a sector too large', 'open-1', withImage({ size: (image) => image.size + 512 })],
  [
    'writes when it is read',
    'open-2',
    withImage({ close: (_, storage) => async () => storage.write(new Uint8Array(4), 500) }),
  ],
  [
    'does not say what it can not open',
    'open-3',
    class extends SlabDriver {
      override open(storage: Storage, options: OpenOptions) {
        return super.open(storage, options).catch(() => {
          throw new TypeError('what is this?');
        });
      }
    },
  ],
  [
    'closes the storage',
    'open-4',
    withImage({
      close: (image, storage) => async () => {
        await image.close();
        await storage.close();
      },
    }),
  ],
  [
    'takes a failed read for zeroes',
    'open-5',
    withStorage((storage) =>
      Object.assign(new LazyStorage(storage), {
        read: async (buffer: Uint8Array, offset: number) => {
          await Promise.resolve(storage.read(buffer, offset)).catch(() => buffer.fill(0));
        },
      }),
    ),
  ],
  [
    'ignores options',
    'open-6',
    class extends SlabDriver {
      override open(storage: Storage, options: OpenOptions) {
        return super.open(storage, { ...options, options: {} });
      }
    },
  ],
  [
    'forgets a cluster when it is opened for writing',
    'open-7',
    class extends Opening {
      override async before(storage: Storage, { writable }: OpenOptions) {
        if (writable) {
          await zeroTable(storage);
        }
      }
    },
  ],
  [
    'writes before it may',
    'open-8',
    class extends Opening {
      override async before(storage: Storage, { writable, beforeWriting }: OpenOptions) {
        if (writable) {
          await storage.write(Uint8Array.of(1), 511);
          await beforeWriting?.({});
        }
      }
    },
  ],
  [
    'answers for more than was asked',
    'map-1',
    withMap((extent) => ({ ...extent, length: extent.length + 1 })),
  ],
  ['answers for nothing', 'map-1', withMap((extent) => ({ ...extent, length: 0 }))],
  [
    'makes up a kind',
    'map-2',
    withMap((extent) => (extent.kind === 'unallocated' ? { ...extent, kind: 'hole' } : extent)),
  ],
  ['always promises', 'map-3', withMap(async (extent) => extent)],
  [
    'leads to behind the end',
    'map-4',
    withMap((extent) =>
      extent.kind === 'data' ? { ...extent, offset: extent.offset + 2 ** 30 } : extent,
    ),
  ],
  [
    'answers long questions otherwise',
    'map-5',
    withMap((extent, _, length) =>
      length > 1000 && extent.kind === 'zero'
        ? { kind: 'unallocated', length: extent.length }
        : extent,
    ),
  ],
  [
    'keeps the question in one place',
    'map-6',
    withImage({
      map: (image) => {
        let asked = 0;
        return async (offset: number, length: number) => {
          asked = offset;
          await Promise.resolve();
          return now(image.map(asked, length));
        };
      },
    }),
  ],
  [
    'remembers a failed read',
    'map-7',
    withImage({
      map: (image, storage) => {
        let read: Promise<void> | undefined;
        return async (offset: number, length: number) => {
          read ??= Promise.resolve(storage.read(new Uint8Array(4), 0));
          await read;
          return image.map(offset, length);
        };
      },
    }),
  ],
  [
    'is one cluster off',
    'read-1',
    withMap((extent, offset) =>
      extent.kind === 'data' && offset >= 4096
        ? { ...extent, offset: extent.offset - 512 }
        : extent,
    ),
  ],
  [
    'shows its header in a new image',
    'read-2',
    withImage({
      map: (image, storage) => (offset: number, length: number) => {
        const extent = now(image.map(offset, length));
        return offset === 0 && extent.kind === 'unallocated'
          ? { kind: 'data', length: Math.min(length, 512), storage, offset: 0 }
          : extent;
      },
    }),
  ],
  [
    'writes one byte too far on',
    'write-1',
    withPlace((placement) =>
      placement.kind === 'in-place' ? { ...placement, offset: placement.offset + 1 } : placement,
    ),
  ],
  [
    'forgets the table when it is closed',
    'write-2',
    withImage({ close: () => async () => undefined }),
  ],
  [
    'copies too much',
    'write-3',
    withAllocation((allocation) => ({ ...allocation, copyAfter: allocation.copyAfter + 4096 })),
  ],
  [
    'maps what was aborted',
    'write-4',
    withAllocation((allocation) => ({
      ...allocation,
      abort: () => {
        void allocation.commit();
      },
    })),
  ],
  [
    'calls dirty space fresh',
    'write-5',
    withAllocation((allocation) => {
      void allocation.storage.write(Uint8Array.of(1), allocation.offset);
      return allocation;
    }),
  ],
  [
    'does not commit',
    'write-6',
    withAllocation((allocation) => ({ ...allocation, commit: () => undefined })),
  ],
  [
    'zeroes a cluster too much',
    'zero-1',
    withImage({
      zero: (image) => (offset: number, length: number) => {
        const most = Math.min(length + 4096, image.size - offset);
        image.zero?.(offset, most, { unmap: true, zeroBelow: false });
        return length;
      },
    }),
  ],
  [
    'did half a cluster',
    'zero-2',
    withImage({
      zero: (image) => (offset: number, length: number) => {
        image.zero?.(offset, length, { unmap: true, zeroBelow: false });
        return Math.min(length, 2048);
      },
    }),
  ],
  [
    'does not zero when space is to be kept',
    'zero-3',
    withImage({
      zero:
        (image) =>
        (offset: number, length: number, context: { unmap: boolean; zeroBelow: boolean }) =>
          context.unmap ? image.zero?.(offset, length, context) : length,
    }),
  ],
  [
    'drops a cluster too much',
    'discard-1',
    withImage({
      discard: (image) => (offset: number, length: number, context: { zeroBelow: boolean }) =>
        image.discard?.(offset, Math.min(length + 4096, image.size - offset), context),
    }),
  ],
  [
    'shows something else after a discard and a reopen',
    'discard-2',
    withImage({
      discard:
        (image, storage) =>
        async (offset: number, length: number, context: { zeroBelow: boolean }) => {
          await image.discard?.(offset, length, context);
          await image.flush?.();
          mapped = Math.floor(offset / 4096);
          await storage.write(new Uint8Array(4), 512 + mapped * 4);
        },
    }),
  ],
  [
    'cuts paths of backing files',
    'backing-1',
    withImage({
      references: ({ references }) => ({
        backing: references.backing && {
          location: references.backing.location.split('/').at(-1) ?? '',
        },
      }),
    }),
  ],
  [
    'hides the layer below',
    'backing-2',
    withMap((extent) =>
      extent.kind === 'unallocated'
        ? { kind: 'zero', length: extent.length, allocated: false }
        : extent,
    ),
  ],
  [
    'forgets what is before a write',
    'backing-3',
    withAllocation((allocation) => ({ ...allocation, copyBefore: 0 })),
  ],
  [
    'zeroes by dropping',
    'backing-4',
    withMap((extent) =>
      extent.kind === 'zero' ? { kind: 'unallocated', length: extent.length } : extent,
    ),
  ],
  [
    'drops the name of a backing file',
    'backing-5',
    class extends SlabDriver {
      override readonly supportsBacking = false;
    },
    { abilities: { ...SLAB.abilities, backing: false } },
  ],
  [
    'gives one cluster to two writes',
    'together-1',
    withImage({
      place: (image) => {
        let last: unknown;
        return async (offset: number, length: number) => {
          const placement = image.place?.(offset, length);
          const mine =
            placement !== undefined && now(placement).kind === 'allocation'
              ? now(placement)
              : undefined;
          if (mine === undefined) {
            return placement;
          }
          const shared = (last as { offset: number } | undefined) ?? mine;
          last = mine;
          await Promise.resolve();
          return { ...mine, offset: shared.offset - (shared.offset % 512) + (mine.offset % 512) };
        };
      },
    }),
  ],
  [
    'allocates anew for each part',
    'together-2',
    withAllocation((allocation) => ({ ...allocation, copyBefore: 0, copyAfter: 0 })),
  ],
  [
    'answers from an old map',
    'together-3',
    withImage({
      map: (image) => {
        const known = new Map<number, unknown>();
        return (offset: number, length: number) => {
          const key = offset * 2 ** 20 + length;
          known.set(key, known.get(key) ?? image.map(offset, length));
          return known.get(key);
        };
      },
    }),
  ],
  [
    'loses an edge now and then',
    'model-1',
    withAllocation((allocation) => {
      mapped += 1;
      return mapped % 3 === 0 ? { ...allocation, copyBefore: 0 } : allocation;
    }),
  ],
  [
    'reports another cluster size',
    'create-1',
    withImage({ options: () => ({ cluster_size: 512 }) }),
  ],
  [
    'fails for a choice',
    'create-2',
    class extends Creating {
      override readonly createOptions = {
        ...new SlabDriver().createOptions,
        fast: { type: 'boolean', description: 'Fast', default: false },
      } as const;
      override altered(options: CreateOptions) {
        if (options.options.fast === true) {
          throw new TypeError('no');
        }
        return options;
      }
    },
  ],
  [
    'touches the storage first',
    'create-3',
    class extends Creating {
      override async before(storage: Storage) {
        await storage.truncate(512);
      }
    },
  ],
  [
    'does not flush a new image',
    'create-4',
    class extends Creating {
      override create(storage: Storage, options: CreateOptions) {
        return super.create(Object.assign(new LazyStorage(storage)), options);
      }
    },
  ],
  [
    'makes disks too small',
    'create-5',
    class extends Creating {
      override altered(options: CreateOptions) {
        return { ...options, size: Math.max(0, options.size - 1) };
      }
    },
  ],
  [
    'keeps failures to itself',
    'create-6',
    class extends Creating {
      override create(storage: Storage, options: CreateOptions) {
        return super.create(storage, options).catch((error) => {
          if (error.code !== 'IO_ERROR') {
            throw error;
          }
        });
      }
    },
  ],
  [
    'closes a new image',
    'create-7',
    class extends Creating {
      override async after(storage: Storage) {
        await storage.close();
      }
    },
  ],
  [
    'measures too little',
    'measure-1',
    class extends SlabDriver {
      async measure() {
        return { required: 10, fullyAllocated: 5 };
      }
    },
    { abilities: { ...SLAB.abilities, measure: true } },
  ],
  [
    'ends a check with an error of its own',
    'abort-1',
    withImage({
      check: (image) => async (options: { signal?: AbortSignal }) => {
        if (options.signal?.aborted) {
          throw new Error('aborted');
        }
        return image.check?.(options);
      },
    }),
  ],
  [
    'fails to close twice',
    'close-1',
    withImage({
      close: (image) => {
        let closed = false;
        return async () => {
          if (closed) {
            throw new LamellaError('CLOSED', 'closed');
          }
          closed = true;
          await image.close();
        };
      },
    }),
  ],
  [
    'closes the storage after a write',
    'close-2',
    withImage({
      close: (image, storage) => async () => {
        await image.close();
        await storage.close();
      },
    }),
  ],
  [
    'does not flush when it is closed',
    'close-3',
    withStorage((storage) =>
      Object.assign(new LazyStorage(storage), { flush: async () => undefined }),
    ),
  ],
  [
    'does not flush',
    'flush-1',
    withStorage((storage) =>
      Object.assign(new LazyStorage(storage), { flush: async () => undefined }),
    ),
  ],
  [
    'writes the table before the data is durable',
    'crash-1',
    withStorage((storage) => new LazyStorage(storage)),
  ],
  [
    'takes leaks for corruption',
    'crash-2',
    withImage({
      check: (image, storage) => async () => {
        let clusters = 0;
        for (let at = 0; at < image.size; at += 4096) {
          clusters += now(image.map(at, 1)).kind === 'data' ? 1 : 0;
        }
        const inFile = Math.ceil((storage.size - 1024) / 4096);
        const result = await image.check?.({});
        return { ...result, corruptions: inFile > clusters ? 1 : 0 };
      },
    }),
  ],
  [
    'does not look at what a flush says',
    'fault-1',
    withImage({ flush: (image) => () => image.flush?.().catch(() => undefined) }),
  ],
  [
    'writes no more after a flush has failed',
    'fault-2',
    withImage({
      flush: (image) => async () => {
        if (!broken.has(image)) {
          await image.flush?.().catch((error) => {
            broken.add(image);
            throw error;
          });
        }
      },
      close: (image) => async () => {
        if (!broken.has(image)) {
          await image.close();
        }
      },
    }),
  ],
  [
    'shows the layer below when its table is cut',
    'damage-1',
    withImage({
      map: (image) => (offset: number, length: number) => {
        try {
          return image.map(offset, length);
        } catch {
          return { kind: 'unallocated', length: Math.min(length, 512) };
        }
      },
    }),
  ],
  [
    'trusts the size in the header',
    'damage-2',
    class extends Opening {
      override async before(storage: Storage) {
        const head = new Uint8Array(16);
        await storage.read(head, 0);
        const size = new DataView(head.buffer).getFloat64(8, true);
        new Uint32Array(Math.ceil(size / 4096));
      }
    },
  ],
  [
    'reads until something changes',
    'damage-3',
    class extends Opening {
      override async before(storage: Storage) {
        const head = new Uint8Array(16);
        do {
          await storage.read(head, 0);
        } while (head[4] !== 0 || head[6] !== 0);
      }
    },
  ],
  [
    'takes as much memory as the header says',
    'damage-4',
    class extends Opening {
      override async before(storage: Storage) {
        const head = new Uint8Array(8);
        await storage.read(head, 0);
        const size = new DataView(head.buffer).getUint32(4, true);
        if (size > 2 ** 21) {
          await storage.read(new Uint8Array(48 * 2 ** 20), 0);
        }
      }
    },
  ],
  [
    'finds leaks where there are none',
    'check-1',
    withImage({ check: (image) => async () => ({ ...(await image.check?.({})), leaks: 1 }) }),
  ],
  [
    'writes while it checks',
    'check-2',
    withImage({
      check: (image, storage) => async () => {
        await storage.write(Uint8Array.of(0), 511);
        return image.check?.({});
      },
    }),
  ],
  [
    'does not count',
    'check-3',
    withImage({
      check: (image) => async () => ({ ...(await image.check?.({})), leaksFixed: Number.NaN }),
    }),
  ],
  [
    'repairs too much',
    'check-4',
    withImage({
      check: (image, storage) => async (options: { repair?: string }) => {
        if (options.repair === 'all') {
          await zeroTable(storage);
        }
        return image.check?.({});
      },
    }),
  ],
];

const FLAT_MUTANTS: readonly Mutant[] = [
  ['keeps its size', 'resize-1', flat((image) => ({ resize: async () => image.size }))],
  [
    'loses data when it shrinks',
    'resize-2',
    flat((image) => ({
      resize: async (size: number) => {
        if (size < image.size) {
          await image.storage.truncate(0);
        }
        await image.storage.truncate(size);
      },
    })),
  ],
  [
    'grows before it refuses',
    'resize-3',
    flat((image) => ({
      resize: async (size: number) => {
        await image.storage.truncate(size);
        if (size > 2 ** 50) {
          throw new LamellaError('LIMIT_EXCEEDED', 'too large');
        }
      },
    })),
  ],
  [
    'takes memory for an empty disk',
    'create-8',
    class extends FlatDriver {
      override async create(storage: Storage, options: CreateOptions) {
        this.validateCreate(options);
        for (let at = 0; at < Math.min(options.size, 50 * 2 ** 20); at += 65536) {
          await storage.write(new Uint8Array(Math.min(65536, options.size - at)), at);
        }
        await super.create(storage, options);
      }
    },
  ],
];

function flat(change: (image: FlatImage) => object): new () => FlatDriver {
  return class extends FlatDriver {
    override async open(storage: Storage, { writable }: OpenOptions): Promise<Image> {
      const image = new FlatImage(storage, writable);
      return Object.assign(image, change(image));
    }
  };
}

async function firstFailure(
  rule: RuleId,
  source: DriverSource,
  manifest: ConformanceManifest,
): Promise<unknown> {
  for (const check of conformanceChecks(source, manifest)) {
    if (check.rule === rule || check.group === rule.split('-')[0]) {
      try {
        await check.run();
      } catch (error) {
        if (error instanceof RuleViolation && error.rule === rule) {
          return error;
        }
      }
    }
  }
  return undefined;
}

for (const [list, base] of [
  [MUTANTS, SLAB],
  [FLAT_MUTANTS, FLAT],
] as const) {
  for (const [what, rule, source, more] of list) {
    t.test(`a driver that ${what} breaks ${rule}`, async (t) => {
      const failure = await firstFailure(rule, source, { ...base, ...more });
      t.ok(failure instanceof RuleViolation, 'a check of the rule fails');
      t.match(String(failure), `breaks rule ${rule} of ${RULES[rule].of}`);
      t.match(String(failure), `driver-rules.md#${rule}`);
    });
  }
}

t.test('every rule has a driver that breaks it', async (t) => {
  const broken = new Set([...MUTANTS, ...FLAT_MUTANTS].map(([, rule]) => rule));
  t.same(
    Object.keys(RULES).filter((rule) => ![...broken].some((each) => each === rule)),
    [],
  );
});
