/**
 * A value now, or a promise of it. Hot paths return plain values when metadata is cached and data
 * can be had without blocking: no promise is made and no turn of the event loop is taken.
 */
export type Awaitable<T> = T | Promise<T>;

/** Whether the value has to be awaited. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return value instanceof Promise;
}
