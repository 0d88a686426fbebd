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

/** What a failure shows beside its name, in runners that show it. */
export interface FailureDetails {
  /** What happened, which rule that breaks, and where the rule is written. */
  readonly problem: string;
  /** Where it happened. */
  readonly stack: string;
}

/**
 * What the suite needs of a test that is running: tap's `t` has it. Around another runner it is an object of
 * three lines.
 */
export interface RunningTest {
  /** Notes that a check holds. `skip` says why there was nothing to try. */
  pass(name: string, extra: { readonly skip?: string }): unknown;
  /** Notes that a check does not hold. */
  fail(name: string, details: FailureDetails): unknown;
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
 * Runs the conformance suite for one kind of image of a driver, one assertion for each check. A failure names
 * the rule that was broken and where it is written.
 *
 * @param t - the test of the caller
 * @param source - the driver class, or a function that makes a driver
 * @param manifest - how to make images, and what they can do
 * @returns when everything has run
 * @throws what `t` throws; failures of checks are told to it
 */
export async function conformance(
  t: RunningTest,
  source: DriverSource,
  manifest: ConformanceManifest,
): Promise<void> {
  for (const check of conformanceChecks(source, manifest)) {
    const name = `${check.rule}, ${check.group}: ${check.name}`;
    try {
      const skip = await check.run();
      t.pass(name, skip === undefined ? {} : { skip });
    } catch (error) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      t.fail(name, { problem: message, stack: stack ?? message });
    }
  }
}
