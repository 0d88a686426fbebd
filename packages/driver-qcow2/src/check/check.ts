import {
  type CheckFinding,
  type CheckOptions,
  type CheckResult,
  LamellaError,
  MAX_FINDINGS,
  type RepairMode,
  type Storage,
} from '@lamella/core';
import { Geometry } from '../geometry.js';
import { INCOMPATIBLE, withFeature } from '../header/features.js';
import type { Header } from '../header/header.js';
import { readHeader } from '../header/parse.js';
import { featuresPatch } from '../header/serialise.js';
import { CheckRun } from './check-run.js';
import { DiskRefcounts } from './disk-refcounts.js';
import { checkPass } from './pass.js';

/**
 * Checks an image and mends it as `qemu-img check` does: `leaks` lowers refcounts that are too high,
 * `all` also raises those that are too low, mends flags and entries, and makes the refcount structure
 * anew where it can't be mended. After a repair the image is checked again, and what is left is
 * reported beside what was mended. Nothing else may use the storage meanwhile.
 *
 * Memory: one byte per host cluster in use, in pages of 64 KiB, and less than 20 MiB.
 *
 * @throws LamellaError `READ_ONLY` for a repair of a storage that is not writable, `LIMIT_EXCEEDED` for
 * more than 2^31 - 1 host clusters, `ABORTED`, `IO_ERROR`, and what reading the header throws
 */
export async function checkStorage(storage: Storage, options: CheckOptions): Promise<CheckResult> {
  const repair = options.repair ?? 'none';
  if (repair !== 'none' && !storage.writable) {
    throw new LamellaError('READ_ONLY', 'a repair needs a writable image', {
      location: storage.location,
      hint: 'Open it for writing.',
    });
  }
  const first = await pass(storage, options, repair);
  if (repair === 'none' || (first.tally.corruptionsFixed === 0 && first.tally.leaksFixed === 0)) {
    return result(first, first, first.tally.findings);
  }
  await storage.flush();
  const second = await pass(storage, options, 'none');
  return result(first, second, mergeFindings(first.tally.findings, second.tally.findings));
}

async function pass(
  storage: Storage,
  options: CheckOptions,
  repair: RepairMode,
): Promise<CheckRun> {
  const header = await readHeader(storage);
  const geometry = new Geometry(header);
  const run = new CheckRun({
    storage,
    header,
    geometry,
    repair,
    operation: options,
    refcounts: await DiskRefcounts.read(
      storage,
      geometry,
      header.refcountTableOffset,
      header.refcountTableClusters,
    ),
  });
  await checkPass(run);
  if (repair !== 'none' && run.tally.checkErrors === 0 && run.tally.corruptions === 0) {
    await markClean(storage, header);
  }
  return run;
}

/** Clears the dirty and the corrupt bit; the repair before is durable first. */
async function markClean(storage: Storage, header: Header): Promise<void> {
  await storage.flush();
  const clean = withFeature(
    withFeature(header.incompatible, INCOMPATIBLE.dirty, false),
    INCOMPATIBLE.corrupt,
    false,
  );
  if (clean.low !== header.incompatible.low) {
    const patch = featuresPatch('incompatible', clean);
    await storage.write(patch.bytes, patch.offset);
    await storage.flush();
  }
}

function result(first: CheckRun, last: CheckRun, findings: readonly CheckFinding[]): CheckResult {
  const { clusterSize } = last.geometry;
  return {
    corruptions: last.tally.corruptions,
    leaks: last.tally.leaks,
    checkErrors: last.tally.checkErrors,
    corruptionsFixed: first.tally.corruptionsFixed,
    leaksFixed: first.tally.leaksFixed,
    imageEndOffset: (last.highest + 1) * clusterSize,
    totalClusters: Math.ceil(last.header.size / clusterSize),
    allocatedClusters: last.tally.allocated,
    fragmentedClusters: last.tally.fragmented,
    compressedClusters: last.tally.compressed,
    findings,
  };
}

/** What the first pass found, mended unless the second found it again, and what only the second found. */
function mergeFindings(
  first: readonly CheckFinding[],
  second: readonly CheckFinding[],
): CheckFinding[] {
  const key = ({ message, offset }: CheckFinding) => `${offset} ${message}`;
  const left = new Set(second.map(key));
  const merged = first.map((finding) => ({ ...finding, fixed: !left.has(key(finding)) }));
  const seen = new Set(first.map(key));
  const fresh = second.filter((finding) => !seen.has(key(finding)));
  return [...merged, ...fresh].slice(0, MAX_FINDINGS);
}
