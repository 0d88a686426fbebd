import { isLamellaError } from '@lamella/core';
import { firstDifference } from '../model/bytes.js';
import { RuleViolation } from '../rule-violation.js';
import type { RuleId } from '../rules.js';
import type { Abilities } from '../subject/manifest.js';
import type { Subject } from '../subject/subject.js';

/** Milliseconds after which a check that still waits for something counts as hung. */
const TIME_LIMIT = 60_000;

/** One named check of one rule. */
export interface Check {
  /** What the rule is about: `map`, `write`. */
  readonly group: string;
  /** Number of the rule. */
  readonly rule: RuleId;
  /** What is tried; unique within its group. */
  readonly name: string;
  /**
   * Tries it.
   *
   * @returns undefined when the rule holds, or why there was nothing to try
   * @throws RuleViolation when it does not hold
   */
  run(): Promise<string | undefined>;
}

/** What a check does. A text says why there was nothing to try. */
export type CheckBody = () => Promise<unknown>;

/** Collects the checks of a group. */
export class CheckGroup {
  /** In order. */
  readonly checks: Check[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  /** Adds a check; whatever its body throws breaks the rule. */
  add(rule: RuleId, name: string, body: CheckBody): void {
    const run = (): Promise<string | undefined> =>
      under(rule, async () => {
        const reason = await inTime(body());
        return typeof reason === 'string' ? reason : undefined;
      });
    this.checks.push({ group: this.#name, rule, name, run });
  }
}

/**
 * Runs something as part of a rule.
 *
 * @throws RuleViolation of this rule, or of a rule further in
 */
export async function under<T>(rule: RuleId, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw error instanceof RuleViolation ? error : new RuleViolation(rule, error);
  }
}

/** The body of a check that is about an ability which the image may lack. */
export function needing(subject: Subject, ability: keyof Abilities, body: CheckBody): CheckBody {
  return async () =>
    (await subject.can(ability)) ? body() : `images of this kind have no '${ability}'`;
}

/** @throws Error unless the condition holds */
export function must(condition: boolean, problem: string): asserts condition {
  if (!condition) {
    throw new Error(problem);
  }
}

/** @throws Error at the first byte that differs */
export function mustEqual(found: Uint8Array, expected: Uint8Array, what: string): void {
  const difference = firstDifference(found, expected);
  must(difference === undefined, `${what}: ${difference}`);
}

/**
 * What an action was refused with.
 *
 * @throws Error when it was not refused, or with something else than a LamellaError
 */
export async function refusal(action: () => unknown, what: string) {
  try {
    await action();
  } catch (error) {
    return mustBeTyped(error, what);
  }
  throw new Error(`${what} was not refused`);
}

/** @throws Error for anything but a LamellaError that a driver may give */
export function mustBeTyped(error: unknown, what: string) {
  if (isLamellaError(error) && error.code !== 'DRIVER_FAILED') {
    return error;
  }
  const stack = error instanceof Error ? error.stack : String(error);
  throw new Error(`${what} failed with something else than a LamellaError: ${stack}`, {
    cause: error,
  });
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = (): void => reject(new Error(`nothing happened for ${TIME_LIMIT / 1000} seconds`));
    timer = setTimeout(fail, TIME_LIMIT);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
