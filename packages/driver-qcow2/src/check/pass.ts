import { viewOf } from '@lamella/core';
import { EXTENSION, findExtension } from '../header/extensions.js';
import { hasFeature, INCOMPATIBLE } from '../header/features.js';
import { MAX_L1_BYTES } from '../header/header.js';
import { walkBitmaps } from './bitmap-walker.js';
import type { CheckRun } from './check-run.js';
import { compareRefcounts } from './compare.js';
import { checkCopiedFlags } from './copied-flags.js';
import { walkL1 } from './l1-walker.js';
import { rebuildRefcounts } from './rebuild.js';
import { walkRefcountBlocks } from './refcount-blocks.js';
import { storeSnapshots } from './snapshot-repair.js';
import { readSnapshots } from './snapshot-table.js';

const TWO_32 = 0x1_0000_0000;

/**
 * One pass over everything: counts references, compares them with the refcounts, looks at the COPIED
 * flags and mends what the run's repair mode says.
 *
 * @throws LamellaError `ABORTED`, `LIMIT_EXCEEDED`, `IO_ERROR`
 */
export async function checkPass(run: CheckRun): Promise<void> {
  const snapshots = await readSnapshots(run);
  run.snapshotCorruptions = snapshots.corruptions;
  // Without knowing what is in use, every repair could free something that is.
  if (snapshots.unreadable || !(await countReferences(run))) {
    return;
  }
  const mark = run.tally.mark();
  await compareRefcounts(run, 'none');
  if (run.rebuild && run.repair === 'all') {
    await rebuild(run);
  } else if (run.rebuild && run.repair === 'leaks') {
    run.tally.error('the refcount structure has to be rebuilt: repair everything, not leaks alone');
    return;
  } else if (run.repair !== 'none') {
    run.tally.reset(mark);
    await compareRefcounts(run, run.repair);
  }
  await checkCopiedFlags(run);
  if (run.repair === 'all' && snapshots.corruptions > 0) {
    await storeSnapshots(run, snapshots.corruptions);
  }
}

/** Counts all references; false if some of them can't be known. */
async function countReferences(run: CheckRun): Promise<boolean> {
  const { header, tally, geometry } = run;
  run.count(0, geometry.clusterSize);
  await walkL1(run, header.l1Offset, header.l1Size, true);
  if (hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile) && run.snapshots.length > 0) {
    tally.corruption('snapshots in an image with an external data file');
  }
  for (const { name, l1Offset, l1Size } of run.snapshots) {
    if (l1Offset % geometry.clusterSize !== 0) {
      tally.corruption(
        `the L1 table of snapshot ${name} at byte ${l1Offset} is not aligned`,
        l1Offset,
      );
    } else if (l1Size > MAX_L1_BYTES / 8) {
      tally.corruption(`the L1 table of snapshot ${name} has ${l1Size} entries`, l1Offset);
    } else {
      await walkL1(run, l1Offset, l1Size, false);
    }
  }
  run.count(header.snapshotsOffset, run.snapshotBytes);
  countEncryptionHeader(run);
  if (!(await walkBitmaps(run))) {
    return false;
  }
  await walkRefcountBlocks(run);
  return true;
}

function countEncryptionHeader(run: CheckRun): void {
  const pointer = findExtension(run.header.extensions, EXTENSION.encryption)?.data;
  if (run.header.cryptMethod === 2 && pointer !== undefined && pointer.length >= 16) {
    const view = viewOf(pointer);
    const offset = view.getUint32(0) * TWO_32 + view.getUint32(4);
    run.count(offset, view.getUint32(8) * TWO_32 + view.getUint32(12));
  }
}

/**
 * Makes the refcount structure anew and frees the old one. The difference to what is wrong afterwards
 * is what was mended.
 */
async function rebuild(run: CheckRun): Promise<void> {
  const { tally } = run;
  const before = tally.mark();
  run.refcounts = await rebuildRefcounts(run);
  tally.corruptions = 0;
  tally.leaks = 0;
  tally.checkErrors = 0;
  tally.resetStatistics();
  run.rebuild = false;
  run.mending = false;
  run.counts.clear();
  await countReferences(run);
  // The same things were found before the rebuild already.
  tally.findings.length = before.findings;
  const after = tally.mark();
  await compareRefcounts(run, 'leaks');
  // What the old structure took was no leak of the image's.
  const given = tally.findings.slice(before.findings);
  tally.reset(after);
  tally.findings.push(...given);
  tally.corruptionsFixed += Math.max(0, before.corruptions - after.corruptions);
  tally.leaksFixed += Math.max(0, before.leaks - after.leaks);
  if (run.rebuild) {
    tally.error('the refcount structure that was made anew is wrong, too');
  }
}
