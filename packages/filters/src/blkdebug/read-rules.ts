import { LamellaError } from '@lamella/core';
import { type BlkdebugEvent, eventOf } from './events.js';
import {
  type InjectRule,
  REQUEST_TYPES,
  type RequestType,
  type Rules,
  type StateRule,
} from './rules.js';

/** The system's number for a failed transfer. */
const EIO = 5;

/** Options of one rule, as texts. */
export interface RuleText {
  /** `inject-error` or `set-state`. */
  readonly name: string;
  readonly values: ReadonlyMap<string, string>;
}

const KEYS: Readonly<Record<string, readonly string[]>> = {
  'inject-error': ['event', 'state', 'iotype', 'errno', 'sector', 'once', 'immediately'],
  'set-state': ['event', 'state', 'new_state'],
};

/**
 * Makes rules of their options.
 *
 * @param location - for messages
 * @throws LamellaError `INVALID_ARGUMENT`; `UNSUPPORTED` for an event that is never raised here
 */
export function readRules(texts: readonly RuleText[], location: string): Rules {
  const inject: InjectRule[] = [];
  const states: StateRule[] = [];
  for (const { name, values } of texts) {
    const known = KEYS[name];
    if (known === undefined) {
      throw wrong(`There is no option group '${name}'`, location);
    }
    for (const key of values.keys()) {
      if (!known.includes(key)) {
        throw wrong(`Invalid parameter '${key}'`, location);
      }
    }
    const reader = new RuleReader(values, location);
    const event = reader.event();
    const state = reader.number('state') ?? 0;
    if (name === 'set-state') {
      states.push({ event, state, newState: reader.number('new_state') ?? 0 });
      continue;
    }
    const sector = reader.number('sector') ?? -1;
    reader.flag('immediately');
    inject.push({
      event,
      state,
      type: reader.type(),
      errno: reader.number('errno') ?? EIO,
      sector: sector < 0 ? undefined : sector,
      once: reader.flag('once'),
    });
  }
  return { inject, states };
}

class RuleReader {
  readonly #values: ReadonlyMap<string, string>;
  readonly #location: string;

  constructor(values: ReadonlyMap<string, string>, location: string) {
    this.#values = values;
    this.#location = location;
  }

  event(): BlkdebugEvent {
    const name = this.#values.get('event');
    if (name === undefined) {
      throw wrong('Missing event name for rule', this.#location);
    }
    const event = eventOf(name);
    if (event === undefined) {
      throw wrong(`invalid parameter value: ${name}`, this.#location);
    }
    if (event === 'foreign') {
      throw new LamellaError('UNSUPPORTED', `the event '${name}' is never raised here`, {
        location: this.#location,
        hint: 'Use read_aio, write_aio, pwritev, pwritev_zero, pwritev_done, flush_to_os, flush_to_disk or none.',
      });
    }
    return event;
  }

  type(): RequestType | undefined {
    const name = this.#values.get('iotype');
    const type = REQUEST_TYPES.find((candidate) => candidate === name);
    if (name !== undefined && type === undefined) {
      throw wrong(`invalid parameter value: ${name}`, this.#location);
    }
    return type;
  }

  number(key: string): number | undefined {
    const text = this.#values.get(key);
    if (text === undefined) {
      return undefined;
    }
    if (!/^-?\d{1,15}$/.test(text)) {
      throw wrong(`Parameter '${key}' expects a number`, this.#location);
    }
    return Number(text);
  }

  flag(key: string): boolean {
    const text = this.#values.get(key) ?? 'off';
    if (text !== 'on' && text !== 'off' && text !== 'true' && text !== 'false') {
      throw wrong(`Parameter '${key}' expects 'on' or 'off'`, this.#location);
    }
    return text === 'on' || text === 'true';
  }
}

function wrong(problem: string, location: string): LamellaError {
  return new LamellaError('INVALID_ARGUMENT', problem, { location });
}
