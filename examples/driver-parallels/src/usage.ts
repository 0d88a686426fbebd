import type { Bat } from './bat.js';
import type { ParallelsHeader } from './header.js';

/** Which clusters of the file are in use. The format has no record of it but the BAT. */
export interface Usage {
  /** Their numbers, from 0 where clusters begin; sorted. */
  readonly clusters: Uint32Array;
  /** Entries of the BAT that lead behind the file's end, before the first cluster, or between two clusters. */
  readonly misplaced: number;
  /** The first of them. */
  readonly firstMisplaced: number | undefined;
  /** How many entries lead to a cluster that another entry has. */
  readonly shared: number;
}

/** Whether an entry of the BAT leads to a cluster of the file. */
export function isWithin(place: number, header: ParallelsHeader, fileSize: number): boolean {
  const { dataStart, clusterSize } = header;
  return place >= dataStart && place < fileSize && (place - dataStart) % clusterSize === 0;
}

/** Reads the whole BAT. */
export function findUsage(bat: Bat, header: ParallelsHeader, fileSize: number): Usage {
  const found = new Uint32Array(bat.entries);
  let [count, misplaced] = [0, 0];
  let firstMisplaced: number | undefined;
  for (let index = 0; index < bat.entries; index += 1) {
    const place = bat.placeOf(index);
    if (place !== 0 && isWithin(place, header, fileSize)) {
      found[count] = (place - header.dataStart) / header.clusterSize;
      count += 1;
    } else if (place !== 0) {
      misplaced += 1;
      firstMisplaced ??= index;
    }
  }
  const clusters = found.subarray(0, count).sort();
  const shared = clusters.reduce(
    (sum, cluster, i) => (i > 0 && cluster === clusters[i - 1] ? sum + 1 : sum),
    0,
  );
  return { clusters, misplaced, firstMisplaced, shared };
}
