import {
  type Awaitable,
  InterceptedStorage,
  isPromise,
  type Storage,
  type StorageCall,
} from '@lamella/core';
import { Breakpoints } from './breakpoints.js';
import type { BlkdebugEvent } from './events.js';
import { injectedError } from './injected-error.js';
import { type RequestType, RuleMachine, type Rules } from './rules.js';

/** What a call counts as for rules. */
const TYPES: Readonly<Partial<Record<StorageCall['method'], RequestType>>> = {
  read: 'read',
  write: 'write',
  writeZeroes: 'write-zeroes',
  discard: 'discard',
  flush: 'flush',
  map: 'block-status',
};

/** What is raised before a call, whoever makes it. */
const EVENTS: Readonly<Partial<Record<StorageCall['method'], readonly BlkdebugEvent[]>>> = {
  write: ['pwritev'],
  writeZeroes: ['pwritev_zero'],
  flush: ['flush_to_os', 'flush_to_disk'],
};

/** What is raised before a flush with nothing to make durable. */
const IDLE_FLUSH: readonly BlkdebugEvent[] = ['flush_to_os'];
const CHANGES: ReadonlySet<StorageCall['method']> = new Set(['write', 'writeZeroes', 'discard']);

/** The same for the guest's data. */
const GUEST_EVENTS: Readonly<Partial<Record<StorageCall['method'], readonly BlkdebugEvent[]>>> = {
  ...EVENTS,
  read: ['read_aio'],
  write: ['write_aio', 'pwritev'],
  writeZeroes: ['write_aio', 'pwritev_zero'],
};

/** A storage whose requests fail or stop where rules and breakpoints say so. */
export class FaultStorage extends InterceptedStorage {
  /** Breakpoints of this storage. */
  readonly breakpoints = new Breakpoints();
  /** What reads and writes the guest's data. */
  readonly guest: Storage;
  readonly #machine: RuleMachine;
  /** Whether something was changed since the last flush: without that, a flush goes no further than to the system. */
  #changed = false;

  constructor(inner: Storage, rules: Rules) {
    super(inner);
    this.#machine = new RuleMachine(rules);
    this.guest = new GuestView(inner, (call, proceed) => this.#run(call, proceed, GUEST_EVENTS));
  }

  protected override intercept<T>(call: StorageCall, proceed: () => Awaitable<T>): Awaitable<T> {
    return this.#run(call, proceed, EVENTS);
  }

  #run<T>(
    call: StorageCall,
    proceed: () => Awaitable<T>,
    events: typeof EVENTS,
    from = 0,
  ): Awaitable<T> {
    const idle = call.method === 'flush' && !this.#changed;
    const raised = idle ? IDLE_FLUSH : (events[call.method] ?? []);
    for (const [index, event] of raised.entries()) {
      if (index >= from) {
        this.#machine.raise(event);
        const stopped = this.breakpoints.reach(event);
        if (stopped !== undefined) {
          return stopped.then(() => this.#run(call, proceed, events, index + 1));
        }
      }
    }
    // A change that fails may have been made in part.
    this.#changed ||= CHANGES.has(call.method);
    const type = idle ? undefined : TYPES[call.method];
    const errno = type === undefined ? undefined : this.#machine.check({ ...call, type });
    if (errno !== undefined) {
      return Promise.reject(injectedError(errno, this.location, call.offset));
    }
    if (call.method === 'flush') {
      this.#changed = false;
    }
    const result = proceed();
    return call.method === 'write' || call.method === 'writeZeroes' ? this.#done(result) : result;
  }

  /** After a write. */
  #done<T>(result: Awaitable<T>): Awaitable<T> {
    if (isPromise(result)) {
      return result.then((value) => this.#done(value));
    }
    this.#machine.raise('pwritev_done');
    const stopped = this.breakpoints.reach('pwritev_done');
    return stopped === undefined ? result : stopped.then(() => result);
  }
}

/** The same bytes, for the guest's data. */
class GuestView extends InterceptedStorage {
  readonly #run: InterceptedStorage['intercept'];

  constructor(inner: Storage, run: InterceptedStorage['intercept']) {
    super(inner);
    this.#run = run;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => Awaitable<T>): Awaitable<T> {
    return this.#run(call, proceed);
  }
}
