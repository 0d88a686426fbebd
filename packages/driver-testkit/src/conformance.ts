import { backingChecks } from './checks/backing.js';
import { changeChecks } from './checks/change.js';
import type { Check } from './checks/check.js';
import { checkChecks } from './checks/check-image.js';
import { crashChecks } from './checks/crash.js';
import { createChecks } from './checks/create.js';
import { damageChecks } from './checks/damage.js';
import { driverChecks } from './checks/driver.js';
import { endingChecks } from './checks/endings.js';
import { faultChecks } from './checks/fault.js';
import { mapChecks } from './checks/map.js';
import { modelChecks } from './checks/model.js';
import { openChecks } from './checks/open.js';
import { placementChecks } from './checks/placement.js';
import { probeChecks } from './checks/probe.js';
import { readChecks } from './checks/read.js';
import { resizeChecks } from './checks/resize.js';
import { togetherChecks } from './checks/together.js';
import type { ConformanceManifest, DriverSource } from './subject/manifest.js';
import { Subject } from './subject/subject.js';

/** What the suite needs of a running test: tap's `t` and the context of `node:test` have it. */
export interface RunningTest {
  /** Runs a test inside this one. */
  test(name: string, body: (t: RunningTest) => Promise<void>): unknown;
  /** Notes that something holds, where the runner counts assertions. */
  pass?(message: string): unknown;
  /** Notes why there was nothing to try. */
  skip?(message: string): unknown;
}

const GROUPS = [
  driverChecks,
  probeChecks,
  openChecks,
  mapChecks,
  readChecks,
  createChecks,
  changeChecks,
  placementChecks,
  backingChecks,
  resizeChecks,
  togetherChecks,
  modelChecks,
  endingChecks,
  crashChecks,
  faultChecks,
  damageChecks,
  checkChecks,
];

/**
 * The checks for one kind of image of a driver, without a test runner.
 *
 * @param source - the driver class, or a function that makes a driver
 * @param manifest - how to make images, and what they can do
 */
export function conformanceChecks(
  source: DriverSource,
  manifest: ConformanceManifest,
): readonly Check[] {
  const subject = new Subject(source, manifest);
  return GROUPS.flatMap((checks) => checks(subject));
}

/**
 * Runs the conformance suite for one kind of image of a driver as tests inside a test: one for each group
 * of rules, and in it one for each check. A failure is a {@link RuleViolation}, which names the rule.
 *
 * @param t - the test of the caller: of tap, or of `node:test`
 * @param source - the driver class, or a function that makes a driver
 * @param manifest - how to make images, and what they can do
 * @returns when everything has run
 */
export async function conformance(
  t: RunningTest,
  source: DriverSource,
  manifest: ConformanceManifest,
): Promise<void> {
  const groups = new Map<string, Check[]>();
  for (const check of conformanceChecks(source, manifest)) {
    groups.set(check.group, [...(groups.get(check.group) ?? []), check]);
  }
  for (const [group, checks] of groups) {
    const name = `${manifest.name ?? 'conformance'}: ${group}`;
    await t.test(name, async (inner) => {
      for (const check of checks) {
        await inner.test(`${check.rule}, ${check.name}`, (each) => runCheck(each, check));
      }
    });
  }
}

async function runCheck(t: RunningTest, check: Check): Promise<void> {
  const skipped = await check.run();
  if (skipped === undefined) {
    t.pass?.('holds');
  } else {
    t.skip?.(skipped);
  }
}
