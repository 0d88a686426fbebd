import { type Awaitable, InterceptedStorage, type Storage, type StorageCall } from '@lamella/core';

/** What a {@link TracingStorage} wrote down: a call when it began and again when it ended. */
export interface TraceEntry extends StorageCall {
  /** Number of the call, from 0. */
  readonly id: number;
  /** Which end of the call. */
  readonly phase: 'begin' | 'end';
}

/** How a {@link TracingStorage} treats time. */
export interface TracingOptions {
  /**
   * Turns of the event loop that a call takes before it is carried out, as a function of its number.
   * None by default, so calls end at once where the storage underneath does.
   */
  readonly delay?: (call: StorageCall, id: number) => number;
}

/** A storage that writes down every call, to count I/Os and to see which were under way together. */
export class TracingStorage extends InterceptedStorage {
  /** Everything that happened, in order. */
  readonly trace: TraceEntry[] = [];
  readonly #delay: TracingOptions['delay'];
  #calls = 0;

  constructor(inner: Storage, options: TracingOptions = {}) {
    super(inner);
    this.#delay = options.delay;
  }

  /** Number of calls of one method that began so far. */
  count(method: StorageCall['method']): number {
    return this.trace.filter((entry) => entry.phase === 'begin' && entry.method === method).length;
  }

  /** Most calls of one method that were under way at one moment. */
  mostAtOnce(method: StorageCall['method']): number {
    let active = 0;
    let most = 0;
    for (const entry of this.trace) {
      if (entry.method === method) {
        active += entry.phase === 'begin' ? 1 : -1;
        most = Math.max(most, active);
      }
    }
    return most;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => Awaitable<T>): Awaitable<T> {
    const id = this.#calls;
    this.#calls += 1;
    this.trace.push({ ...call, id, phase: 'begin' });
    const turns = this.#delay?.(call, id) ?? 0;
    if (turns > 0) {
      return this.#later(call, id, turns, proceed);
    }
    const result = proceed();
    if (result instanceof Promise) {
      return result.finally(() => this.trace.push({ ...call, id, phase: 'end' }));
    }
    this.trace.push({ ...call, id, phase: 'end' });
    return result;
  }

  async #later<T>(
    call: StorageCall,
    id: number,
    turns: number,
    proceed: () => Awaitable<T>,
  ): Promise<T> {
    for (let turn = 0; turn < turns; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    try {
      return await proceed();
    } finally {
      this.trace.push({ ...call, id, phase: 'end' });
    }
  }
}
