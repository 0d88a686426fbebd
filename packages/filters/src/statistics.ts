import type {
  Awaitable,
  BlockDriver,
  Image,
  OptionValue,
  Storage,
  StorageCall,
} from '@lamella/core';
import { InterceptedStorage } from '@lamella/core';
import { injectable } from 'tsyringe';
import { FilterImage } from './filter-image.js';

/**
 * The filter `statistics`: counts what is asked of a disk. The counts stand among the options of the layer:
 * `reads`, `read_bytes`, `writes`, `written_bytes`, `zeroes`, `zeroed_bytes`, `discards`, `discarded_bytes`,
 * `flushes`, and `failures` of all of these.
 */
@injectable()
export class StatisticsDriver implements BlockDriver {
  readonly format = 'statistics';
  readonly sharesStorage = true;

  /** Opens without reading anything. */
  async open(storage: Storage): Promise<Image> {
    return new StatisticsImage(new CountingStorage(storage));
  }
}

class StatisticsImage extends FilterImage {
  constructor(storage: CountingStorage) {
    super(storage, storage.counts);
  }
}

/** Where a call counts: the number of calls, and their bytes. */
const COUNTERS: Readonly<Partial<Record<StorageCall['method'], readonly [string, string?]>>> = {
  read: ['reads', 'read_bytes'],
  write: ['writes', 'written_bytes'],
  writeZeroes: ['zeroes', 'zeroed_bytes'],
  discard: ['discards', 'discarded_bytes'],
  flush: ['flushes'],
};

class CountingStorage extends InterceptedStorage {
  readonly #counts: Record<string, number> = Object.fromEntries(
    [...Object.values(COUNTERS).flat(), 'failures'].map((name) => [name, 0]),
  );

  get counts(): Readonly<Record<string, OptionValue>> {
    return this.#counts;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => Awaitable<T>): Awaitable<T> {
    const [calls, bytes] = COUNTERS[call.method] ?? [];
    this.#add(calls, 1);
    this.#add(bytes, call.length);
    try {
      const result = proceed();
      return result instanceof Promise
        ? result.catch((error: unknown) => this.#failed(error))
        : result;
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): never {
    this.#add('failures', 1);
    throw error;
  }

  #add(name: string | undefined, by: number): void {
    if (name !== undefined) {
      this.#counts[name] = (this.#counts[name] ?? 0) + by;
    }
  }
}
