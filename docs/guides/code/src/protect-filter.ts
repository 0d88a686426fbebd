import {
  type Awaitable,
  type BlockDriver,
  type Image,
  InterceptedStorage,
  LamellaError,
  type OpenOptions,
  type OptionSchema,
  parseOptions,
  type Storage,
  type StorageCall,
} from '@lamella/core';
import { FilterImage } from '@lamella/filters';

const OPEN_OPTIONS: OptionSchema = {
  below: {
    type: 'size',
    description: 'Bytes at the start that take no changes',
    default: 1024 ** 2,
  },
};

/** The filter `protect`: refuses changes of the first bytes of a disk, where its partition table is. */
export class ProtectDriver implements BlockDriver {
  readonly format = 'protect';
  readonly openOptions = OPEN_OPTIONS;
  readonly sharesStorage = true;

  async open(storage: Storage, { options }: OpenOptions): Promise<Image> {
    const values = parseOptions(OPEN_OPTIONS, options ?? {}, 'protecting a disk');
    return new FilterImage(new ProtectedStorage(storage, Number(values.below)), values);
  }
}

class ProtectedStorage extends InterceptedStorage {
  readonly #below: number;

  constructor(inner: Storage, below: number) {
    super(inner);
    this.#below = below;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => Awaitable<T>): Awaitable<T> {
    if (CHANGES.has(call.method) && call.offset < this.#below) {
      throw new LamellaError('READ_ONLY', `the first ${this.#below} bytes take no changes`, {
        location: this.location,
        offset: call.offset,
      });
    }
    return proceed();
  }
}

const CHANGES: ReadonlySet<StorageCall['method']> = new Set([
  'write',
  'writeZeroes',
  'discard',
  'truncate',
]);
