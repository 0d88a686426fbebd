import { viewOf, writeUint64 } from '@lamella/core';
import { FIELD } from '../header/header.js';
import type { CheckRun } from './check-run.js';
import { FreeSpace } from './free-space.js';

/**
 * Stores the snapshot table anew, in other clusters, and points the header to it when it is durable. The
 * old table's space is given back.
 *
 * @param corruptions - what was wrong with the old table; counts as mended
 * @throws LamellaError as `Storage.write`
 */
export async function storeSnapshots(run: CheckRun, corruptions: number): Promise<void> {
  const { storage, geometry, snapshots, header, tally } = run;
  const { clusterSize } = geometry;
  // A table that reached behind the end of the file was not counted, so nothing is there to give back.
  const counted = header.snapshotsOffset + run.snapshotBytes - storage.size < clusterSize;
  const length = snapshots.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const clusters = Math.ceil(length / clusterSize);
  const space = new FreeSpace(run);
  const first = clusters === 0 ? 0 : space.take(clusters);
  const blocks = run.geometry.refcountBlockEntries;
  for (let cluster = first; cluster < first + clusters; cluster += 1) {
    if (run.refcounts.entry(Math.floor(cluster / blocks)).offset === 0) {
      tally.error('there is no refcount block for a new snapshot table');
      return;
    }
    await run.refcounts.set(cluster, 1);
  }
  await run.refcounts.flush();
  await storage.writev(
    snapshots.map(({ bytes }) => bytes),
    first * clusterSize,
  );
  await storage.flush();
  const patch = new Uint8Array(12);
  const view = viewOf(patch);
  view.setUint32(0, snapshots.length);
  writeUint64(view, 4, first * clusterSize, 'big');
  await storage.write(patch, FIELD.snapshotCount);
  await storage.flush();
  if (counted) {
    await freeOld(run, header.snapshotsOffset, run.snapshotBytes);
  }
  tally.corruptions -= corruptions;
  tally.corruptionsFixed += corruptions;
}

async function freeOld(run: CheckRun, offset: number, length: number): Promise<void> {
  const { clusterSize } = run.geometry;
  const last = Math.floor((offset + length - 1) / clusterSize);
  for (let cluster = Math.floor(offset / clusterSize); cluster <= last; cluster += 1) {
    const refcount = await run.refcounts.get(cluster);
    if (refcount !== undefined && refcount > 0) {
      await run.refcounts.set(cluster, refcount - 1);
    }
  }
  await run.refcounts.flush();
}
