import {
  type Awaitable,
  type CheckOptions,
  type CheckResult,
  type CompressionCodec,
  type Extent,
  type Image,
  type ImageDetails,
  MIN_CACHED_SLICES,
  type OptionValue,
  type References,
  type Storage,
  TableCache,
} from '@lamella/core';
import { checkStorage } from './check/check.js';
import { CompressedClusters } from './compression/compressed-clusters.js';
import { imageDetails } from './details.js';
import type { ImageEncryption } from './encryption/image-encryption.js';
import { Geometry } from './geometry.js';
import { COMPATIBLE, hasFeature, INCOMPATIBLE } from './header/features.js';
import type { Header } from './header/header.js';
import { L2Entries } from './mapping/l2-entries.js';
import { Mapper } from './mapping/mapper.js';
import { L1_FORMAT, PointerTable } from './tables/pointer-table.js';

/** Memory for cached metadata when none is given, in bytes. */
const DEFAULT_CACHE_SIZE = 32 * 1024 * 1024;
/** Part of the cache that is for L2 tables; the rest is for refcount blocks. */
const L2_SHARE = 0.75;

/** How an image's parts are made. */
export interface ImageSetup {
  readonly storage: Storage;
  readonly header: Header;
  /** Most bytes of cached metadata. */
  readonly cacheSize?: number | undefined;
  readonly codecs: readonly CompressionCodec[];
  readonly encryption?: ImageEncryption | undefined;
}

/** The parts of an open image that reading needs; writing adds its own. */
export interface ReadParts {
  readonly storage: Storage;
  readonly header: Header;
  readonly geometry: Geometry;
  readonly l1: PointerTable;
  readonly l2Cache: TableCache;
  readonly entries: L2Entries;
  readonly compressed: CompressedClusters;
  readonly encryption: ImageEncryption | undefined;
  /** Most bytes for cached refcount blocks. */
  readonly refcountCacheSize: number;
}

/**
 * Reads the L1 table and makes the parts that reading needs.
 *
 * @throws LamellaError `IO_ERROR`
 */
export async function readParts(setup: ImageSetup): Promise<ReadParts> {
  const { storage, header, codecs } = setup;
  const geometry = new Geometry(header);
  const cacheSize = setup.cacheSize ?? DEFAULT_CACHE_SIZE;
  const atLeast = MIN_CACHED_SLICES * geometry.sliceSize;
  return {
    storage,
    header,
    geometry,
    l1: await PointerTable.read(storage, L1_FORMAT, {
      offset: header.l1Offset,
      length: header.l1Size,
      clusterSize: geometry.clusterSize,
    }),
    l2Cache: new TableCache(storage, {
      sliceSize: geometry.sliceSize,
      maxBytes: Math.max(atLeast, cacheSize * L2_SHARE),
    }),
    entries: new L2Entries(geometry, storage.location),
    compressed: new CompressedClusters({
      storage,
      clusterSize: geometry.clusterSize,
      type: header.compressionType,
      codecs,
    }),
    encryption: setup.encryption,
    refcountCacheSize: Math.max(atLeast, cacheSize * (1 - L2_SHARE)),
  };
}

/** An image that is open for reading. */
export class Qcow2Image implements Image {
  readonly size: number;
  readonly clusterSize: number;
  readonly references: References;
  readonly #mapper: Mapper;
  readonly #header: Header;
  readonly #geometry: Geometry;
  readonly #encryption: ImageEncryption | undefined;
  readonly #storage: Storage;

  constructor(parts: ReadParts) {
    const { header, geometry } = parts;
    this.#storage = parts.storage;
    this.size = header.size;
    this.clusterSize = geometry.clusterSize;
    this.references = { backing: header.backing };
    this.#header = header;
    this.#geometry = geometry;
    this.#encryption = parts.encryption;
    this.#mapper = new Mapper({ ...parts, data: parts.storage });
  }

  get encrypted(): boolean {
    return this.#encryption !== undefined;
  }

  get unclean(): boolean {
    return hasFeature(this.#header.incompatible, INCOMPATIBLE.dirty);
  }

  get details(): ImageDetails {
    return imageDetails(this.#header, this, this.#encryption);
  }

  get options(): Readonly<Record<string, OptionValue>> {
    return {
      compat: this.#header.version === 3 ? '1.1' : '0.10',
      cluster_size: this.#geometry.clusterSize,
      refcount_bits: this.#geometry.refcountBits,
      lazy_refcounts: hasFeature(this.#header.compatible, COMPATIBLE.lazyRefcounts),
      extended_l2: this.#geometry.extended,
      compression_type: this.#header.compressionType,
      ...this.#encryption?.options,
    };
  }

  map(offset: number, length: number): Awaitable<Extent> {
    const extent = this.#mapper.map(offset, length);
    return this.#encryption === undefined ? extent : this.#encryption.map(extent, offset);
  }

  async close(): Promise<void> {
    this.#encryption?.close();
  }

  /** Looks for damage; a repair needs an image that was opened for a check. */
  check(options: CheckOptions): Promise<CheckResult> {
    return checkStorage(this.#storage, options);
  }
}
