import {
  type BlockDriver,
  type CreateOptions,
  type Extent,
  type Image,
  LamellaError,
  type OpenOptions,
  type Placement,
  type Storage,
} from '@lamella/core';

/** The storage is the disk: for rules that need a resize. */
export class FlatDriver implements BlockDriver {
  readonly format = 'flat';

  async open(storage: Storage, options: OpenOptions): Promise<Image> {
    return new FlatImage(storage, options.writable);
  }

  validateCreate({ size }: CreateOptions): void {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new LamellaError('INVALID_ARGUMENT', `a disk can't have ${size} bytes`);
    }
  }

  async create(storage: Storage, options: CreateOptions): Promise<void> {
    this.validateCreate(options);
    await storage.truncate(options.size);
    await storage.flush();
  }
}

/** An open flat image. */
export class FlatImage implements Image {
  readonly clusterSize = 1;
  readonly references = {};
  readonly options = {};
  readonly storage: Storage;
  readonly #writable: boolean;

  constructor(storage: Storage, writable: boolean) {
    this.storage = storage;
    this.#writable = writable;
  }

  get size(): number {
    return this.storage.size;
  }

  map(offset: number, length: number): Extent {
    return { kind: 'data', length, storage: this.storage, offset };
  }

  place(offset: number, length: number): Placement {
    return { kind: 'in-place', length, storage: this.storage, offset };
  }

  async resize(size: number): Promise<void> {
    if (size > 2 ** 50) {
      throw new LamellaError('LIMIT_EXCEEDED', 'too large');
    }
    await this.storage.truncate(size);
  }

  async close(): Promise<void> {
    if (this.#writable) {
      await this.storage.flush();
    }
  }
}
