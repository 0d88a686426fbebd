import {
  type Awaitable,
  type ErrorCode,
  InterceptedStorage,
  LamellaError,
  type Storage,
  type StorageCall,
} from '@lamella/core';

/** A storage whose calls fail when a rule says so. */
export class FaultyStorage extends InterceptedStorage {
  /** Says which calls fail; may be changed at any time. */
  fails: (call: StorageCall) => boolean;
  readonly #code: ErrorCode;

  /**
   * @param inner - carries out what does not fail
   * @param fails - which calls fail; none by default
   * @param code - of the failures
   */
  constructor(
    inner: Storage,
    fails: (call: StorageCall) => boolean = () => false,
    code: ErrorCode = 'IO_ERROR',
  ) {
    super(inner);
    this.fails = fails;
    this.#code = code;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => Awaitable<T>): Awaitable<T> {
    return this.fails(call) ? Promise.reject(this.#error(call)) : proceed();
  }

  #error(call: StorageCall): LamellaError {
    return new LamellaError(this.#code, `injected failure of ${call.method}`, {
      location: this.location,
      offset: call.offset,
    });
  }
}
