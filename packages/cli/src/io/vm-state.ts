import type { Disk } from 'lamella';

/** Bytes of an L2 entry in a qcow2 image. */
const ENTRY = 8;

/** Where a qcow2 image keeps a machine's state: behind the last L2 table of the disk. 0 for other formats. */
export function vmStateOffset(disk: Disk): bigint {
  const [top] = disk.layers;
  if (top?.format !== 'qcow2') {
    return 0n;
  }
  const { cluster_size: clusterSize, extended_l2: extended } = top.options;
  const cluster = BigInt(Number(clusterSize));
  const covered = (cluster * cluster) / BigInt(extended === true ? 2 * ENTRY : ENTRY);
  return ((BigInt(top.size) + covered - 1n) / covered) * covered;
}
