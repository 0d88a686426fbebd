import type { Reference } from '@lamella/core';
import type { HeaderExtension } from './extensions.js';
import type { FeatureBits } from './features.js';

/** `QFI\xfb`, the first four bytes. */
export const MAGIC = 0x5146_49fb;
/** Bytes of a version 2 header. */
export const V2_LENGTH = 72;
/** Fewest bytes of a version 3 header. */
export const V3_LENGTH = 104;
/** Bytes of the version 3 headers written here: with the compression type and its padding. */
export const V3_WRITTEN_LENGTH = 112;

/** Byte positions of the header's fields (specification: "Header"). */
export const FIELD = {
  magic: 0,
  version: 4,
  backingOffset: 8,
  backingLength: 16,
  clusterBits: 20,
  size: 24,
  cryptMethod: 32,
  l1Size: 36,
  l1Offset: 40,
  refcountTableOffset: 48,
  refcountTableClusters: 56,
  snapshotCount: 60,
  snapshotsOffset: 64,
  incompatible: 72,
  compatible: 80,
  autoclear: 88,
  refcountOrder: 96,
  headerLength: 100,
  compressionType: 104,
} as const;

/** Largest active L1 table in bytes. */
export const MAX_L1_BYTES = 32 * 1024 * 1024;
/** Largest refcount table in bytes. */
export const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;
/** Most internal snapshots. */
export const MAX_SNAPSHOTS = 65536;
/** Longest backing file name in bytes. */
export const MAX_BACKING_NAME = 1023;

/** Values of `crypt_method`. */
export type CryptMethod = 0 | 1 | 2;

/** Names of the compression types by their numbers, as users write them. */
export const COMPRESSION_TYPES = ['zlib', 'zstd'] as const;

/** A compression type as users write it. */
export type CompressionType = (typeof COMPRESSION_TYPES)[number];

/** The header of an image with everything in its first cluster. Offsets are bytes of the file. */
export interface Header {
  readonly version: 2 | 3;
  /** 9..21; a cluster has 2^clusterBits bytes. */
  readonly clusterBits: number;
  /** Size of the guest's disk in bytes. */
  readonly size: number;
  /** 0 none, 1 AES, 2 LUKS. */
  readonly cryptMethod: CryptMethod;
  /** Entries of the active L1 table. */
  readonly l1Size: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly incompatible: FeatureBits;
  readonly compatible: FeatureBits;
  readonly autoclear: FeatureBits;
  /** 0..6; a refcount has 2^refcountOrder bits. */
  readonly refcountOrder: number;
  /** Bytes, 72 for version 2. */
  readonly headerLength: number;
  readonly compressionType: CompressionType;
  /** Header bytes behind the compression type: padding, or fields of later versions, kept for rewriting. */
  readonly additional: Uint8Array;
  readonly extensions: readonly HeaderExtension[];
  /** Backing file as the image names it. */
  readonly backing: Reference | undefined;
  /** Path of the data file, in images that have one and name it; what `extensions` say. */
  readonly dataFile: string | undefined;
}
