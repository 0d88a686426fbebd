import {
  type Awaitable,
  InterceptedStorage,
  LamellaError,
  type Storage,
  type StorageCall,
} from '@lamella/core';

/** A storage whose calls fail when a rule says so. */
export class FaultyStorage extends InterceptedStorage {
  /** Says which calls fail; may be changed at any time. */
  fails: (call: StorageCall) => boolean;

  constructor(inner: Storage, fails: (call: StorageCall) => boolean = () => false) {
    super(inner);
    this.fails = fails;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => Awaitable<T>): Awaitable<T> {
    return this.fails(call) ? Promise.reject(this.#error(call)) : proceed();
  }

  #error(call: StorageCall): LamellaError {
    return new LamellaError('IO_ERROR', `injected failure of ${call.method}`, {
      location: this.location,
      offset: call.offset,
    });
  }
}
