import { setImmediate } from 'node:timers/promises';
import type { Awaitable, Storage } from '@lamella/core';
import { InterceptedStorage, type StorageCall } from '@lamella/core';

/** What a {@link BoundedStorage} allows. */
export interface StorageBounds {
  /** Most calls; no limit by default. */
  readonly maxCalls?: number | undefined;
  /** Longest read or write in bytes; no limit by default. */
  readonly maxLength?: number | undefined;
  /** Whether changes are allowed; true by default. */
  readonly mayChange?: boolean | undefined;
}

/** A bound was passed. No LamellaError: nobody may take it for an error that a driver is expected to give. */
export class BoundExceeded extends Error {
  /** Always `BoundExceeded`. */
  override readonly name = 'BoundExceeded';
}

/**
 * A storage that fails whoever asks for too much: a loop over its calls ends, and so does a read into a
 * buffer whose size came out of a damaged field. It yields to the event loop now and then, so that such a
 * loop does not stop timers either.
 */
export class BoundedStorage extends InterceptedStorage {
  /** The first bound that was passed, if any, even if the driver kept it to itself. */
  exceeded: BoundExceeded | undefined;
  readonly #bounds: StorageBounds;
  #calls = 0;

  constructor(inner: Storage, bounds: StorageBounds) {
    super(inner);
    this.#bounds = bounds;
  }

  /** Outlives the disks over it. */
  override async close(): Promise<void> {}

  protected override async intercept<T>(
    call: StorageCall,
    proceed: () => Awaitable<T>,
  ): Promise<T> {
    const { maxCalls, maxLength, mayChange } = this.#bounds;
    this.#calls += 1;
    if (this.#calls % 16 === 0) {
      await setImmediate();
    }
    if (maxCalls !== undefined && this.#calls > maxCalls) {
      this.#exceed(`more than ${maxCalls} calls on the storage`);
    }
    if (maxLength !== undefined && /^(read|write)$/.test(call.method) && call.length > maxLength) {
      this.#exceed(`a ${call.method} of ${call.length} bytes at once`);
    }
    if (mayChange === false && !/^(read|map|flush)$/.test(call.method)) {
      this.#exceed(`a ${call.method} at ${call.offset} of an image that was opened for reading`);
    }
    return proceed();
  }

  #exceed(what: string): never {
    this.exceeded ??= new BoundExceeded(what);
    throw this.exceeded;
  }
}
