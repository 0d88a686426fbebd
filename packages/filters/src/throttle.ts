import {
  type Awaitable,
  type BlockDriver,
  CLOCK,
  type Clock,
  type Image,
  InterceptedStorage,
  LamellaError,
  type OpenOptions,
  type OptionSchema,
  type OptionValue,
  parseOptions,
  type Storage,
  type StorageCall,
  systemClock,
} from '@lamella/core';
import { inject, injectable } from 'tsyringe';
import { FilterImage } from './filter-image.js';

/** A disk that was idle may go ahead of its rate by what that gives in this many milliseconds. */
const BURST = 100;

const LIMITS = [
  'bps-total',
  'bps-read',
  'bps-write',
  'iops-total',
  'iops-read',
  'iops-write',
] as const;

type Limit = (typeof LIMITS)[number];

const OPEN_OPTIONS: OptionSchema = Object.fromEntries(
  LIMITS.map((name) => [
    name,
    {
      type: 'size',
      description: `Most ${name.startsWith('bps') ? 'bytes' : 'requests'} a second${describe(name)}`,
      default: 0,
    },
  ]),
);

function describe(name: Limit): string {
  return `, ${name.endsWith('total') ? 'all' : `${name.slice(name.indexOf('-') + 1)}s`}; 0 for no limit`;
}

/**
 * The filter `throttle`: holds requests up so that no more than so many bytes and requests a second get
 * through. Its limits are called as in QEMU: `bps-total`, `bps-read`, `bps-write`, `iops-total`, `iops-read`,
 * `iops-write`.
 */
@injectable()
export class ThrottleDriver implements BlockDriver {
  readonly format = 'throttle';
  readonly openOptions = OPEN_OPTIONS;
  readonly sharesStorage = true;
  readonly #clock: Clock;

  /** @param clock - what time is measured by */
  constructor(@inject(CLOCK, { isOptional: true }) clock?: Clock) {
    this.#clock = clock ?? systemClock;
  }

  /** @throws LamellaError `INVALID_ARGUMENT` for a limit of all together with one of reads or writes */
  async open(storage: Storage, { options }: OpenOptions): Promise<Image> {
    const values = parseOptions(OPEN_OPTIONS, options ?? {}, 'throttling a disk');
    for (const unit of ['bps', 'iops']) {
      const parts = Number(values[`${unit}-read`]) + Number(values[`${unit}-write`]);
      if (Number(values[`${unit}-total`]) > 0 && parts > 0) {
        throw new LamellaError(
          'INVALID_ARGUMENT',
          `${unit}-total goes with no other ${unit} limit`,
          {
            location: storage.location,
            hint: `Give ${unit}-total, or ${unit}-read and ${unit}-write.`,
          },
        );
      }
    }
    return new FilterImage(new ThrottledStorage(storage, values, this.#clock), values);
  }
}

/** Time is given out in turn: each request takes as much of it as its bytes need at the rate. */
class Budget {
  readonly #rate: number;
  readonly #clock: Clock;
  /** When all that was let through so far will have been paid for. */
  #paidAt = Number.NEGATIVE_INFINITY;

  /** @param rate - units a second; 0 for no limit */
  constructor(rate: number, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Takes units and tells how many milliseconds to wait before using them. */
  take(units: number): number {
    if (this.#rate === 0) {
      return 0;
    }
    const now = this.#clock.now();
    const begin = Math.max(this.#paidAt, now - BURST);
    this.#paidAt = begin + (units * 1000) / this.#rate;
    return Math.max(0, begin - now);
  }
}

class ThrottledStorage extends InterceptedStorage {
  readonly #budgets: Readonly<Record<Limit, Budget>>;
  readonly #clock: Clock;

  constructor(inner: Storage, limits: Readonly<Record<string, OptionValue>>, clock: Clock) {
    super(inner);
    const budget = (name: Limit) => new Budget(Number(limits[name]), clock);
    this.#budgets = {
      'bps-total': budget('bps-total'),
      'bps-read': budget('bps-read'),
      'bps-write': budget('bps-write'),
      'iops-total': budget('iops-total'),
      'iops-read': budget('iops-read'),
      'iops-write': budget('iops-write'),
    };
    this.#clock = clock;
  }

  protected override intercept<T>(
    { method, length }: StorageCall,
    proceed: () => Awaitable<T>,
  ): Awaitable<T> {
    if (method === 'map' || method === 'truncate' || method === 'flush') {
      return proceed();
    }
    const kind = method === 'read' ? 'read' : 'write';
    // Zeroes and discards move no bytes, as QEMU counts them too.
    const bytes = method === 'read' || method === 'write' ? length : 0;
    const wait = Math.max(
      this.#budgets['bps-total'].take(bytes),
      this.#budgets[`bps-${kind}`].take(bytes),
      this.#budgets['iops-total'].take(1),
      this.#budgets[`iops-${kind}`].take(1),
    );
    return wait === 0 ? proceed() : this.#after(wait, proceed);
  }

  async #after<T>(wait: number, proceed: () => Awaitable<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#clock.schedule(wait, resolve);
    });
    return proceed();
  }
}
