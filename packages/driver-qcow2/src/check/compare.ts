import { isPromise, type RepairMode } from '@lamella/core';
import type { CheckRun } from './check-run.js';

/**
 * Compares the refcounts on disk with what was counted, and mends those that can be mended one by one.
 *
 * @param repair - what to mend: `leaks` lowers, `all` raises, too
 * @throws LamellaError `ABORTED`, and as `Storage.read` and `Storage.write`
 */
export async function compareRefcounts(run: CheckRun, repair: RepairMode): Promise<void> {
  const { refcountBlockEntries } = run.geometry;
  run.highest = 0;
  for (let first = 0; first < run.counts.length; first += refcountBlockEntries) {
    run.step();
    const end = Math.min(first + refcountBlockEntries, run.counts.length);
    const { offset, readable } = run.refcounts.entry(first / refcountBlockEntries);
    if (readable && (offset === 0 || offset >= run.storage.size)) {
      compareWithNothing(run, first, end);
    } else {
      await compareBlock(run, first, end, repair);
    }
  }
  await run.refcounts.flush();
}

/** Clusters without a refcount block: those that are used have a refcount of 0. */
function compareWithNothing(run: CheckRun, first: number, end: number): void {
  for (
    let cluster = run.counts.nextUsed(first, end);
    cluster < end;
    cluster = run.counts.nextUsed(cluster + 1, end)
  ) {
    run.highest = cluster;
    run.rebuild = true;
    mismatch(run, cluster, 0, run.counts.get(cluster), false);
  }
}

async function compareBlock(
  run: CheckRun,
  first: number,
  end: number,
  repair: RepairMode,
): Promise<void> {
  let cluster = first;
  while (cluster < end) {
    const loading = run.refcounts.runAt(cluster);
    const refcounts = isPromise(loading) ? await loading : loading;
    const stop = Math.min(end, refcounts.end);
    let mend = false;
    for (; cluster < stop && !mend; cluster += 1) {
      const stored = refcounts.get(cluster);
      const counted = run.counts.get(cluster);
      if (stored !== 0 || counted !== 0) {
        run.highest = stored === undefined ? run.highest : cluster;
      }
      if (stored !== counted) {
        mend = compareOne(run, cluster, stored, counted, repair);
      }
    }
    if (mend) {
      await run.refcounts.set(cluster - 1, run.counts.get(cluster - 1));
    }
  }
}

/** Notes a difference; whether the refcount is to be replaced. */
function compareOne(
  run: CheckRun,
  cluster: number,
  stored: number | undefined,
  counted: number,
  repair: RepairMode,
): boolean {
  if (stored === undefined) {
    run.tally.error(
      `the refcount of cluster ${cluster} cannot be read`,
      cluster * run.geometry.clusterSize,
    );
    return false;
  }
  run.rebuild ||= stored === 0;
  const mend = stored !== 0 && (stored > counted ? repair !== 'none' : repair === 'all');
  mismatch(run, cluster, stored, counted, mend);
  return mend;
}

function mismatch(
  run: CheckRun,
  cluster: number,
  stored: number,
  counted: number,
  fixed: boolean,
): void {
  const offset = cluster * run.geometry.clusterSize;
  const text = `cluster ${cluster} has refcount ${stored} and ${counted} references`;
  if (stored > counted) {
    run.tally.leak(text, offset, fixed);
  } else {
    run.tally.corruption(text, offset, fixed);
  }
}
