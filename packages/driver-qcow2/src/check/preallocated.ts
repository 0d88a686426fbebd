import { isLamellaError, isPromise, type Storage } from '@lamella/core';
import type { Geometry } from '../geometry.js';
import type { Header } from '../header/header.js';
import { DiskRefcounts } from './disk-refcounts.js';

/** Most clusters that are counted; a longer file that is mostly holes is taken for preallocated. */
const MAX_COUNTED = 2 ** 26;

/**
 * Whether an image was made with its metadata preallocated: its refcounts speak of more clusters than the file
 * takes space for, by a ninth and by two at least. It is the rule by which QEMU decides to ask the file for
 * holes where the image says data.
 *
 * @throws LamellaError `IO_ERROR`
 */
export async function isPreallocated(
  storage: Storage,
  header: Header,
  geometry: Geometry,
): Promise<boolean> {
  const taken = await storage.allocatedSize?.();
  if (taken === undefined) {
    return false;
  }
  const { clusterSize } = geometry;
  const clusters = Math.ceil(storage.size / clusterSize);
  const real = Math.floor(taken / clusterSize);
  const threshold = Math.max(Math.floor((real * 10) / 9), real + 2);
  if (clusters < threshold || clusters > MAX_COUNTED) {
    return clusters >= threshold;
  }
  try {
    const { refcountTableOffset: offset, refcountTableClusters: length } = header;
    const refcounts = await DiskRefcounts.read(storage, geometry, offset, length);
    return await countReaches(refcounts, clusters, threshold);
  } catch (error) {
    // The refcounts are somebody else's to complain about: nothing here depends on them.
    if (isLamellaError(error)) {
      return false;
    }
    throw error;
  }
}

async function countReaches(
  refcounts: DiskRefcounts,
  clusters: number,
  threshold: number,
): Promise<boolean> {
  let count = 0;
  for (let cluster = 0; cluster < clusters && count < threshold; ) {
    const loading = refcounts.runAt(cluster);
    const run = isPromise(loading) ? await loading : loading;
    for (; cluster < Math.min(clusters, run.end); cluster += 1) {
      count += (run.get(cluster) ?? 0) !== 0 ? 1 : 0;
    }
  }
  return count >= threshold;
}
