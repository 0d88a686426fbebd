import type { LongOperation } from './long-operation.js';

/** What a check may change: nothing, only leaked clusters, or everything that it can mend. */
export type RepairMode = 'none' | 'leaks' | 'all';

/** How an image is checked. */
export interface CheckOptions extends LongOperation {
  /** What to mend; nothing by default. Anything else needs an image opened for writing. */
  readonly repair?: RepairMode | undefined;
}

/** One thing that a check found. */
export interface CheckFinding {
  /** `error` is something that kept the check from looking. */
  readonly kind: 'corruption' | 'leak' | 'error';
  /** One sentence. */
  readonly message: string;
  /** Byte offset in the image file, where there is one. */
  readonly offset?: number | undefined;
  /** Whether this run mended it. */
  readonly fixed: boolean;
}

/** The verdict of a check, with the counts that `qemu-img check` gives. */
export interface CheckResult {
  /** Corruptions that are left. */
  readonly corruptions: number;
  /** Leaked clusters that are left. */
  readonly leaks: number;
  /** Problems of the check itself. */
  readonly checkErrors: number;
  /** Corruptions mended. */
  readonly corruptionsFixed: number;
  /** Leaked clusters given back. */
  readonly leaksFixed: number;
  /** First byte behind everything that is in use. */
  readonly imageEndOffset?: number | undefined;
  /** Clusters of the guest's disk. */
  readonly totalClusters?: number | undefined;
  /** Clusters of the guest's disk that are allocated. */
  readonly allocatedClusters?: number | undefined;
  /** Allocated clusters that do not follow their predecessor in the file. */
  readonly fragmentedClusters?: number | undefined;
  /** Clusters that are compressed. */
  readonly compressedClusters?: number | undefined;
  /** What was found, in the order of finding; at most {@link MAX_FINDINGS}. The counts are complete. */
  readonly findings: readonly CheckFinding[];
}

/** Most findings that a check keeps, so that a ruined image takes bounded memory. */
export const MAX_FINDINGS = 1000;
