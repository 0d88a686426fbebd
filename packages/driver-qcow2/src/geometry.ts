import { AUTOCLEAR, hasFeature, INCOMPATIBLE } from './header/features.js';
import type { Header } from './header/header.js';

/** Largest piece of a table that the caches hold, in bytes. */
const MAX_SLICE = 4096;

/** Subclusters of a cluster in images with extended L2 entries. */
export const SUBCLUSTERS = 32;

/** Sizes that follow from a header. Spans and sizes are bytes. */
export class Geometry {
  /** 2^9..2^21. */
  readonly clusterSize: number;
  /** Whether L2 entries have 16 bytes and a subcluster bitmap. */
  readonly extended: boolean;
  /** Whether clusters can be marked as zeroes (version 3). */
  readonly hasZeroFlag: boolean;
  /**
   * Whether guest clusters are in an external data file: each at its guest offset, and none of them
   * refcounted or compressed.
   */
  readonly externalData: boolean;
  /** Whether the external data file has to be the guest's disk as a raw image at all times. */
  readonly rawData: boolean;
  /** Unit of allocation status: a 32nd of a cluster with extended L2 entries, else a cluster. */
  readonly subclusterSize: number;
  /** 8, or 16 with extended L2 entries. */
  readonly l2EntrySize: number;
  /** Guest bytes that one L2 table describes. */
  readonly l2Span: number;
  /** Bytes of a cached slice of an L2 table or refcount block. */
  readonly sliceSize: number;
  /** L2 entries in a slice. */
  readonly sliceEntries: number;
  /** Guest bytes that one slice of an L2 table describes. */
  readonly sliceSpan: number;
  /** 1, 2, 4, 8, 16, 32 or 64. */
  readonly refcountBits: number;
  /** Host clusters that one refcount block describes. */
  readonly refcountBlockEntries: number;
  /** Host clusters that one slice of a refcount block describes. */
  readonly refcountSliceEntries: number;

  constructor(header: Header) {
    this.clusterSize = 2 ** header.clusterBits;
    this.extended = hasFeature(header.incompatible, INCOMPATIBLE.extendedL2);
    this.hasZeroFlag = header.version === 3;
    this.externalData = hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile);
    this.rawData = this.externalData && hasFeature(header.autoclear, AUTOCLEAR.rawExternalData);
    this.subclusterSize = this.extended ? this.clusterSize / SUBCLUSTERS : this.clusterSize;
    this.l2EntrySize = this.extended ? 16 : 8;
    this.l2Span = (this.clusterSize / this.l2EntrySize) * this.clusterSize;
    this.sliceSize = Math.min(this.clusterSize, MAX_SLICE);
    this.sliceEntries = this.sliceSize / this.l2EntrySize;
    this.sliceSpan = this.sliceEntries * this.clusterSize;
    this.refcountBits = 2 ** header.refcountOrder;
    this.refcountBlockEntries = (this.clusterSize * 8) / this.refcountBits;
    this.refcountSliceEntries = (this.sliceSize * 8) / this.refcountBits;
  }
}
