import { alignDown, alignUp, LamellaError } from '@lamella/core';

/** Smallest cluster, bytes (specification: `cluster_size`). */
export const MIN_CLUSTER_SIZE = 4096;
/** Largest cluster, bytes (specification: `cluster_size`). */
export const MAX_CLUSTER_SIZE = 64 * 1024 * 1024;
/** Most clusters of one table (specification: `table_size`). */
export const MAX_TABLE_SIZE = 16;
/** Unit of the disk's size, bytes (specification: `image_size`). */
export const SECTOR_SIZE = 512;

/** Bytes of a table that are cached together; no cluster is smaller, so every table is whole slices. */
export const SLICE_SIZE = 4096;
/** Bytes of one table entry (specification: "Tables"). */
export const ENTRY_SIZE = 8;
/** Entries of one slice. */
export const SLICE_ENTRIES = SLICE_SIZE / ENTRY_SIZE;

/** The numbers that a {@link Geometry} is made from, as the header gives them. */
export interface GeometryFields {
  /** Bytes, 2^12 to 2^26. */
  readonly clusterSize: number;
  /** Clusters of one table, a power of two from 1 to 16. */
  readonly tableSize: number;
  /** Clusters before the first regular one; at least 1. */
  readonly headerSize: number;
  /** Byte offset of the L1 table. */
  readonly l1Offset: number;
}

/**
 * Sizes and places that follow from the header and never change while an image is open
 * (specification: "Tables", "Logical offset translation"). All quantities fit a number exactly: they
 * are below 2^53 or powers of two.
 */
export class Geometry {
  /** Bytes of a cluster. */
  readonly clusterSize: number;
  /** Clusters of one table. */
  readonly tableSize: number;
  /** Bytes of one table, 4 KiB to 1 GiB. */
  readonly tableBytes: number;
  /** Entries of one table, 512 to 2^27. */
  readonly tableEntries: number;
  /** Byte offset behind the header clusters: the first that a table or data cluster may have. */
  readonly headerEnd: number;
  /** Byte offset of the L1 table. */
  readonly l1Offset: number;

  constructor(fields: GeometryFields) {
    this.clusterSize = fields.clusterSize;
    this.tableSize = fields.tableSize;
    this.tableBytes = fields.clusterSize * fields.tableSize;
    this.tableEntries = this.tableBytes / ENTRY_SIZE;
    this.headerEnd = fields.headerSize * fields.clusterSize;
    this.l1Offset = fields.l1Offset;
  }

  /** Largest disk that the L1 table can describe, bytes; a power of two, possibly beyond 2^53. */
  get maxImageSize(): number {
    return this.tableEntries * this.tableEntries * this.clusterSize;
  }

  /** Byte offset of the slice of the L1 table that holds an entry. */
  l1Slice(l1Index: number): number {
    return this.l1Offset + (l1Index >>> 9) * SLICE_SIZE;
  }

  /** Byte offset of the slice of an L2 table that holds an entry. */
  l2Slice(table: number, l2Index: number): number {
    return table + (l2Index >>> 9) * SLICE_SIZE;
  }

  /** Whether a slice belongs to the L1 table. */
  isL1(sliceOffset: number): boolean {
    return sliceOffset >= this.l1Offset && sliceOffset < this.l1Offset + this.tableBytes;
  }

  /**
   * End of the last whole cluster of a file. A file that ends within a sector counts as ending with it,
   * as everywhere: the missing bytes are zeroes.
   *
   * @param size - bytes of the file
   */
  fileEnd(size: number): number {
    return alignDown(alignUp(size, SECTOR_SIZE), this.clusterSize);
  }

  /**
   * Whether `bytes` from `offset` are whole clusters behind the header and before `end`.
   *
   * @param end - see {@link Geometry.fileEnd}
   */
  isWhole(offset: number, bytes: number, end: number): boolean {
    const cluster = offset / this.clusterSize;
    return Math.floor(cluster) === cluster && offset >= this.headerEnd && offset + bytes <= end;
  }

  /**
   * Whether `bytes` from `offset` may be clusters that a table points to: whole, and beside the L1
   * table.
   *
   * @param end - see {@link Geometry.fileEnd}
   */
  isRegular(offset: number, bytes: number, end: number): boolean {
    return (
      this.isWhole(offset, bytes, end) &&
      (offset >= this.l1Offset + this.tableBytes || offset + bytes <= this.l1Offset)
    );
  }
}

/** Position of an entry within its slice, 0 to 511. */
export function inSlice(index: number): number {
  return index & (SLICE_ENTRIES - 1);
}

/** The error of a table entry that points where it must not. */
export function corruptEntry(
  location: string,
  what: string,
  value: number,
  offset: number,
): LamellaError {
  return new LamellaError(
    'CORRUPT',
    `${what} points to 0x${value.toString(16)}, which is not a whole cluster of its own within the file`,
    { location, offset, hint: 'Check and repair the image, or restore it from a backup.' },
  );
}
