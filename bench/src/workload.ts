/** What is measured: a number of requests of one size, several under way at once. */
export interface Workload {
  readonly name: string;
  readonly kind: 'read' | 'write';
  /** Bytes of one request. */
  readonly size: number;
  /** Number of requests. */
  readonly count: number;
  /** Requests under way at once. */
  readonly depth: number;
  /**
   * Bytes between the starts of two requests, as `qemu-img bench -S`. A step that is odd in clusters
   * visits every cluster in a scattered order, the same for both contenders.
   */
  readonly step: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

/** 17 clusters of 64 KiB plus one page: scattered over clusters and pages alike, and repeatable. */
const SCATTER = 17 * 64 * KiB + 4 * KiB;

/** The workloads of a run. */
export const WORKLOADS: readonly Workload[] = [
  { name: 'sequential read 1 MiB', kind: 'read', size: MiB, count: 2048, depth: 1, step: MiB },
  {
    name: 'random read 4 KiB',
    kind: 'read',
    size: 4 * KiB,
    count: 100_000,
    depth: 1,
    step: SCATTER,
  },
  {
    name: 'random read 4 KiB',
    kind: 'read',
    size: 4 * KiB,
    count: 200_000,
    depth: 32,
    step: SCATTER,
  },
  { name: 'sequential write 1 MiB', kind: 'write', size: MiB, count: 1024, depth: 1, step: MiB },
  {
    name: 'random write 4 KiB',
    kind: 'write',
    size: 4 * KiB,
    count: 50_000,
    depth: 1,
    step: SCATTER,
  },
  {
    name: 'random write 4 KiB',
    kind: 'write',
    size: 4 * KiB,
    count: 100_000,
    depth: 32,
    step: SCATTER,
  },
];
