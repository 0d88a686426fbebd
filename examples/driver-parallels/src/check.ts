import {
  type CheckFinding,
  type CheckOptions,
  type CheckResult,
  LamellaError,
  MAX_FINDINGS,
  type Storage,
  throwIfAborted,
} from '@lamella/core';
import type { Bat } from './bat.js';
import { FIELD, type ParallelsHeader } from './header.js';
import { findUsage, isWithin } from './usage.js';

/** What is checked. */
export interface CheckedImage {
  readonly storage: Storage;
  readonly header: ParallelsHeader;
  readonly bat: Bat;
}

/** What only the open image knows. */
export interface CheckState {
  /** Bytes of the disk. */
  readonly size: number;
  /** Number of the first cluster behind all that this program gave out, if it writes. */
  readonly ownEnd: number | undefined;
}

/**
 * Looks at the mark, at every entry of the BAT, and at what lies behind the last cluster: as `qemu-img check`, and
 * also for clusters that two entries share. Unused clusters before the last one are no leaks: the next writer uses
 * them. A repair clears entries that lead nowhere and cuts the file; shared clusters stay as they are.
 */
export async function checkImage(
  { storage, header, bat }: CheckedImage,
  { size, ownEnd }: CheckState,
  { repair = 'none', signal }: CheckOptions,
): Promise<CheckResult> {
  const { location } = storage;
  const { dataStart, clusterSize } = header;
  throwIfAborted(signal, location);
  if (repair !== 'none' && !storage.writable) {
    throw new LamellaError('READ_ONLY', 'the image was opened for reading', { location });
  }
  const usage = findUsage(bat, header, storage.size);
  const findings: CheckFinding[] = [];
  const find = (finding: CheckFinding) => {
    if (findings.length < MAX_FINDINGS) {
      findings.push(finding);
    }
  };

  const unclean = bat.inUse && ownEnd === undefined;
  const mends = repair !== 'none';
  if (unclean) {
    const message = 'the image was not closed';
    find({ kind: 'corruption', message, offset: FIELD.inUse, fixed: mends });
  }
  const clears = repair === 'all';
  for (let index = 0; index < bat.entries && usage.misplaced > 0; index += 1) {
    const place = bat.placeOf(index);
    if (place !== 0 && !isWithin(place, header, storage.size)) {
      const message = `cluster ${index} of the disk lies at byte ${place}, which is no cluster of the file`;
      find({ kind: 'corruption', message, offset: bat.entryOffset(index), fixed: clears });
      if (clears) {
        bat.setPlace(index, 0);
      }
    }
  }
  if (usage.shared > 0) {
    const message = `${usage.shared} clusters of the file are used twice`;
    find({ kind: 'corruption', message, fixed: false });
  }
  const usedEnd = dataStart + ((usage.clusters.at(-1) ?? -1) + 1) * clusterSize;
  const end = Math.max(usedEnd, dataStart + (ownEnd ?? 0) * clusterSize);
  const leaks = Math.max(0, Math.ceil((storage.size - end) / clusterSize));
  if (leaks > 0) {
    const message = `nothing refers to the ${leaks} clusters behind the last one`;
    find({ kind: 'leak', message, offset: end, fixed: mends });
  }
  if (mends) {
    await mend(storage, bat, unclean, leaks > 0 ? end : undefined);
  }

  const corruptionsFixed = (unclean && mends ? 1 : 0) + (clears ? usage.misplaced : 0);
  return {
    corruptions: (unclean ? 1 : 0) + usage.misplaced + usage.shared - corruptionsFixed,
    leaks: mends ? 0 : leaks,
    checkErrors: 0,
    corruptionsFixed,
    leaksFixed: mends ? leaks : 0,
    imageEndOffset: usedEnd,
    totalClusters: Math.ceil(size / clusterSize),
    allocatedClusters: usage.clusters.length,
    findings,
  };
}

/** The BAT first, then the file's end, and the mark when both are durable. */
async function mend(
  storage: Storage,
  bat: Bat,
  unclean: boolean,
  end: number | undefined,
): Promise<void> {
  const store = async () => {
    for (const { bytes, offset } of bat.takeChanges()) {
      await storage.write(bytes, offset);
    }
    await storage.flush();
  };
  await store();
  if (end !== undefined) {
    await storage.truncate(end);
    await storage.flush();
  }
  if (unclean) {
    bat.setInUse(false);
    await store();
  }
}
