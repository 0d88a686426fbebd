import type { BlkdebugEvent } from './events.js';

/** Kinds of requests that can be made to fail. */
export const REQUEST_TYPES = [
  'read',
  'write',
  'write-zeroes',
  'discard',
  'flush',
  'block-status',
] as const;

/** One of {@link REQUEST_TYPES}. */
export type RequestType = (typeof REQUEST_TYPES)[number];

/** Bytes of the sectors that rules count in. */
const SECTOR = 512;

/** From an event on, requests fail. */
export interface InjectRule {
  /** Starts it. */
  readonly event: BlkdebugEvent;
  /** Only in this state; in any for 0. */
  readonly state: number;
  /** Only these requests; all but `block-status` by default. */
  readonly type: RequestType | undefined;
  /** Number of the error, as the system has it. */
  readonly errno: number;
  /** Only requests that touch this sector of 512 bytes. */
  readonly sector: number | undefined;
  /** For one request only, and then never again. */
  readonly once: boolean;
}

/** At an event, the state changes. */
export interface StateRule {
  /** Where it happens. */
  readonly event: BlkdebugEvent;
  /** Only from this state; from any for 0. */
  readonly state: number;
  /** The state from then on. */
  readonly newState: number;
}

/** What is to go wrong, and when. */
export interface Rules {
  /** Failures. */
  readonly inject: readonly InjectRule[];
  /** Changes of state. */
  readonly states: readonly StateRule[];
}

/** A request that may be made to fail. */
export interface RequestRange {
  readonly type: RequestType;
  readonly offset: number;
  readonly length: number;
}

/** Keeps account of states and of the rules that are in force. */
export class RuleMachine {
  readonly #states: readonly StateRule[];
  #rules: readonly InjectRule[];
  #active: readonly InjectRule[] = [];
  #state = 1;

  constructor({ inject, states }: Rules) {
    this.#rules = inject;
    this.#states = states;
    this.raise('none');
  }

  /** Something happens: rules for it come into force in place of those before. */
  raise(event: BlkdebugEvent): void {
    const applies = (rule: { readonly event: BlkdebugEvent; readonly state: number }): boolean =>
      rule.event === event && (rule.state === 0 || rule.state === this.#state);
    const begun = this.#rules.filter(applies);
    if (begun.length > 0) {
      this.#active = begun;
    }
    this.#state = this.#states.findLast(applies)?.newState ?? this.#state;
  }

  /** The error number that a request gets, or undefined for a request that may go on. */
  check({ type, offset, length }: RequestRange): number | undefined {
    const rule = this.#active.find(
      (candidate) =>
        (candidate.type === undefined ? type !== 'block-status' : candidate.type === type) &&
        (candidate.sector === undefined || touches(candidate.sector, offset, length)),
    );
    if (rule?.once === true) {
      this.#active = this.#active.filter((other) => other !== rule);
      this.#rules = this.#rules.filter((other) => other !== rule);
    }
    return rule?.errno;
  }
}

function touches(sector: number, offset: number, length: number): boolean {
  const position = sector * SECTOR;
  return position >= offset && position < offset + length;
}
