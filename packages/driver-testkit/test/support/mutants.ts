import type {
  Allocation,
  Awaitable,
  Extent,
  Image,
  OpenOptions,
  OptionSchema,
  Placement,
  Storage,
} from '@lamella/core';
import { WrappedStorage } from '@lamella/core';
import { SlabDriver } from './slab-driver.js';

/** Methods and properties of an image, each made from the sound image. */
export type Changes = {
  readonly [Name in keyof Image]?: (image: Image, storage: Storage) => unknown;
};

/** A slab driver whose images differ from sound ones. */
export function withImage(changes: Changes): new () => SlabDriver {
  return class extends SlabDriver {
    override async open(storage: Storage, options: OpenOptions): Promise<Image> {
      return changed(await super.open(storage, options), storage, changes);
    }
  };
}

/** A slab driver that sees its storage through another one. */
export function withStorage(wrap: (storage: Storage) => Storage): new () => SlabDriver {
  return class extends SlabDriver {
    override open(storage: Storage, options: OpenOptions): Promise<Image> {
      return super.open(wrap(storage), options);
    }
  };
}

/** A slab driver whose data extents differ. */
export function withMap(change: (extent: Extent, offset: number, length: number) => unknown) {
  return withImage({
    map: (image) => (offset: number, length: number) =>
      change(now(image.map(offset, length)), offset, length),
  });
}

/** A slab driver whose placements differ. */
export function withPlace(change: (placement: Placement, offset: number) => unknown) {
  return withImage({
    place: (image) => (offset: number, length: number) => {
      const placement = image.place?.(offset, length);
      return placement === undefined ? undefined : change(now(placement), offset);
    },
  });
}

/** The same, for placements that allocate. */
export function withAllocation(change: (allocation: Allocation, offset: number) => unknown) {
  return withPlace((placement, offset) =>
    placement.kind === 'allocation' ? change(placement, offset) : placement,
  );
}

/** A slab driver with other members. */
export function withDriver(members: {
  readonly format?: string;
  readonly createOptions?: OptionSchema;
  readonly probe?: (head: Uint8Array) => unknown;
}): new () => SlabDriver {
  return class extends SlabDriver {
    constructor() {
      super();
      Object.assign(this, members);
    }
  };
}

/** A storage that leaves out every other flush. */
export class LazyStorage extends WrappedStorage {
  #flushes = 0;

  override async flush(): Promise<void> {
    this.#flushes += 1;
    if (this.#flushes % 2 === 0) {
      await super.flush();
    }
  }
}

/** What the slab driver gives at once. */
export function now<T>(value: Awaitable<T>): T {
  if (value instanceof Promise) {
    throw new Error('the slab driver answers at once');
  }
  return value;
}

function changed(image: Image, storage: Storage, changes: Changes): Image {
  const replaced = new Map<PropertyKey, unknown>();
  for (const [name, make] of Object.entries(changes)) {
    replaced.set(name, make(image, storage));
  }
  return new Proxy(image, {
    get(target, name) {
      const value: unknown = replaced.has(name) ? replaced.get(name) : Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    has: (target, name) => name in target,
  });
}
