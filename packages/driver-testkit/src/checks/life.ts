import type { Disk } from '@lamella/core';
import type { Change } from '../model/changes.js';
import type { GuestHistory } from '../model/guest-history.js';
import { carryOut, randomChange } from './together.js';

/** What a disk under test goes through. */
export interface LifeOptions {
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** Cluster size. */
  readonly unit: number;
  /** Batches of requests. */
  readonly batches: number;
  /** Whether requests of a batch run together. */
  readonly together: boolean;
}

/** Random changes and flushes, noted in a history. Changes that run together do not overlap. */
export async function live(
  disk: Disk,
  history: GuestHistory,
  { random, unit, batches, together }: LifeOptions,
): Promise<void> {
  for (let batch = 0; batch < batches; batch += 1) {
    const changes = disjoint(random, unit, disk.size);
    const flush = random() < 0.3;
    if (together) {
      const work = changes.map((change) => history.change(change, () => carryOut(disk, change)));
      if (flush) {
        work.push(history.flush(() => disk.flush()));
      }
      await Promise.all(work);
    } else {
      for (const change of changes) {
        await history.change(change, () => carryOut(disk, change));
      }
    }
    if (flush) {
      await history.flush(() => disk.flush());
    }
  }
}

/** Some changes that do not overlap. */
function disjoint(random: () => number, unit: number, size: number): Change[] {
  const changes: Change[] = [];
  for (let tries = 2 + Math.floor(random() * 4); tries > 0; tries -= 1) {
    const change = randomChange(random, unit, size);
    const end = change.offset + change.length;
    if (changes.every(({ offset, length }) => end <= offset || offset + length <= change.offset)) {
      changes.push(change);
    }
  }
  return changes;
}
