/** Most bitmaps of an image. */
export const MAX_BITMAPS = 65535;
/** Most bytes of the bitmap directory. */
export const MAX_DIRECTORY = 64 * 1024 * 1024;
/** Most entries of a bitmap table. */
export const MAX_TABLE_ENTRIES = 0x800_0000;
/** Most bytes of a bitmap's bits. */
export const MAX_BITMAP_BYTES = 512 * 1024 * 1024;
/** Longest name in bytes. */
export const MAX_NAME = 1023;
/** Fewest and most bytes that a bit stands for, as powers of two. */
export const GRANULARITY_BITS = { min: 9, max: 31 } as const;

/** What the bits of an image's bitmaps follow from. */
export interface BitmapScale {
  /** Size of the guest's disk in bytes. */
  readonly size: number;
  /** Bytes. */
  readonly clusterSize: number;
}

/** Bits of a bitmap over a disk of `size` bytes. */
export function bitCount(size: number, granularityBits: number): number {
  return Math.ceil(size / 2 ** granularityBits);
}

/** Entries of a bitmap's table: clusters that its bits take. */
export function tableLength({ size, clusterSize }: BitmapScale, granularityBits: number): number {
  return Math.ceil(bitCount(size, granularityBits) / (clusterSize * 8));
}
