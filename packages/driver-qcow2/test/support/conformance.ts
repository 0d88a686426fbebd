import type { OptionValues } from '@lamella/core';
import type { ConformanceManifest } from '@lamella/driver-testkit';

/** What the conformance suite has to know of qcow2 images with these create options. */
export function conformanceManifest(
  name: string,
  options: OptionValues,
  effort = 1,
): ConformanceManifest {
  return {
    name,
    create: { options, untried: ['data_file', 'data_file_raw'] },
    abilities: { write: true, zero: true, discard: true, backing: true, check: true },
    effort,
  };
}
