import {
  type Awaitable,
  type BitmapStore,
  type CheckOptions,
  type CheckResult,
  type CompressionCodec,
  type Extent,
  type Image,
  type ImageDetails,
  MIN_CACHED_SLICES,
  type OptionValue,
  type References,
  type SnapshotStore,
  type Storage,
  TableCache,
} from '@lamella/core';
import { type LoadedBitmaps, loadBitmaps } from './bitmaps/loaded.js';
import { StoredBitmaps } from './bitmaps/stored-bitmaps.js';
import { CompressedClusters } from './compression/compressed-clusters.js';
import { dataFileOptions, referencesOf } from './data-file/description.js';
import { imageDetails } from './details.js';
import type { ImageEncryption } from './encryption/image-encryption.js';
import { Geometry } from './geometry.js';
import { AUTOCLEAR, COMPATIBLE, hasFeature, INCOMPATIBLE, withFeature } from './header/features.js';
import type { Header } from './header/header.js';
import { L2Entries } from './mapping/l2-entries.js';
import { Mapper } from './mapping/mapper.js';
import { ImageSnapshots, type SnapshotHost } from './snapshots/image-snapshots.js';
import { KnownSnapshots } from './snapshots/known-snapshots.js';
import { assertL1, type Snapshot } from './snapshots/table.js';
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
  /** Where guest clusters are, if not in `storage`. */
  readonly dataFile?: Storage | undefined;
}

/** The parts of an open image that reading needs; writing adds its own. */
export interface ReadParts {
  readonly storage: Storage;
  /** Where guest clusters are: the same storage, or the external data file. */
  readonly data: Storage;
  readonly header: Header;
  readonly geometry: Geometry;
  readonly l1: PointerTable;
  readonly l2Cache: TableCache;
  readonly entries: L2Entries;
  readonly compressed: CompressedClusters;
  readonly encryption: ImageEncryption | undefined;
  readonly snapshots: KnownSnapshots;
  readonly bitmaps: LoadedBitmaps;
  /** Most bytes for cached refcount blocks. */
  readonly refcountCacheSize: number;
  /** What the parts were made of, to make them again. */
  readonly setup: ImageSetup;
}

/**
 * Reads the L1 table, the snapshot table and the bitmap directory and makes the parts that reading needs.
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
    data: setup.dataFile ?? storage,
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
    snapshots: await KnownSnapshots.read(storage, header),
    bitmaps: await loadBitmaps(storage, header),
    refcountCacheSize: Math.max(atLeast, cacheSize * (1 - L2_SHARE)),
    setup,
  };
}

/** An image that is open for reading. */
export class Qcow2Image implements Image {
  readonly clusterSize: number;
  #view: ReadView;
  #reach: number | undefined;
  #holes: Awaitable<boolean> | undefined;

  constructor(parts: ReadParts) {
    this.clusterSize = parts.geometry.clusterSize;
    this.#view = new ReadView(parts);
  }

  get size(): number {
    return this.#reach ?? this.#view.parts.header.size;
  }

  get references(): References {
    return referencesOf(this.#view.parts.header);
  }

  get subclusterSize(): number {
    return this.#view.parts.geometry.subclusterSize;
  }

  get encrypted(): boolean {
    return this.#view.parts.encryption !== undefined;
  }

  get unclean(): boolean {
    return hasFeature(this.#view.parts.header.incompatible, INCOMPATIBLE.dirty);
  }

  get details(): ImageDetails {
    const { header, encryption } = this.#view.parts;
    return imageDetails(header, this, encryption);
  }

  get snapshots(): SnapshotStore | undefined {
    return new ImageSnapshots(() => this.snapshotHost);
  }

  get options(): Readonly<Record<string, OptionValue>> {
    const { header, geometry, encryption } = this.#view.parts;
    return {
      compat: header.version === 3 ? '1.1' : '0.10',
      cluster_size: geometry.clusterSize,
      refcount_bits: geometry.refcountBits,
      lazy_refcounts: hasFeature(header.compatible, COMPATIBLE.lazyRefcounts),
      extended_l2: geometry.extended,
      compression_type: header.compressionType,
      ...dataFileOptions(header, geometry),
      ...encryption?.options,
    };
  }

  /** Version 2 has none; opened for writing, it says so when one is added. */
  get bitmaps(): BitmapStore | undefined {
    const { bitmaps, parts } = this.#view;
    return parts.header.version === 2 ? undefined : bitmaps;
  }

  map(offset: number, length: number): Awaitable<Extent> {
    const { mapper, parts } = this.#view;
    const extent = mapper.map(offset, length);
    return parts.encryption === undefined ? extent : parts.encryption.map(extent, offset);
  }

  mayHaveHoles(): Awaitable<boolean> {
    this.#holes ??= this.#lookForHoles();
    return this.#holes;
  }

  async #lookForHoles(): Promise<boolean> {
    const { storage, header, geometry } = this.#view.parts;
    const { isPreallocated } = await import('./check/preallocated.js');
    this.#holes = await isPreallocated(storage, header, geometry);
    return this.#holes;
  }

  async close(): Promise<void> {
    this.#view.parts.encryption?.close();
  }

  /** Looks for damage; a repair needs an image that was opened for a check. */
  async check(options: CheckOptions): Promise<CheckResult> {
    const { checkStorage } = await import('./check/check.js');
    return checkStorage(this.#view.parts.storage, options);
  }

  /** The image as its snapshots see it. */
  protected get snapshotHost(): SnapshotHost {
    const { parts } = this.#view;
    return {
      storage: parts.storage,
      externalData: parts.geometry.externalData,
      known: parts.snapshots,
      open: (snapshot) => openSnapshot(parts, snapshot),
    };
  }

  /** Whether {@link reachTo} holds. */
  protected get reaching(): boolean {
    return this.#reach !== undefined;
  }

  /** Lets the disk seem to end elsewhere in its last cluster for a while. */
  protected reachTo(end: number | undefined): void {
    this.#reach = end;
  }

  /** Goes on with other metadata: the image was changed as a whole. */
  protected adopt(parts: ReadParts): void {
    this.#view = new ReadView(parts);
  }
}

/** An image as it was when a snapshot was taken. The keys and the storage are the image's. */
class SnapshotImage extends Qcow2Image {
  override get snapshots(): undefined {
    return undefined;
  }

  override async close(): Promise<void> {}
}

/** Another view of the same file, through a snapshot's L1 table. */
async function openSnapshot(parts: ReadParts, snapshot: Snapshot): Promise<Image> {
  const { setup, geometry, storage, header } = parts;
  const size = snapshot.info.diskSize;
  const { l1Offset, l1Size } = snapshot;
  assertL1(snapshot, Math.ceil(size / geometry.l2Span), geometry.clusterSize, storage);
  // Bitmaps are those of the present disk, with its size.
  const autoclear = withFeature(header.autoclear, AUTOCLEAR.bitmaps, false);
  const then = {
    ...header,
    size,
    l1Offset,
    l1Size,
    autoclear,
    snapshotCount: 0,
    snapshotsOffset: 0,
  };
  return new SnapshotImage(await readParts({ ...setup, header: then }));
}

/** What answers while an image's metadata stays the same. */
class ReadView {
  readonly parts: ReadParts;
  readonly mapper: Mapper;
  readonly bitmaps: BitmapStore;

  constructor(parts: ReadParts) {
    const { storage, header, geometry } = parts;
    this.parts = parts;
    this.bitmaps = new StoredBitmaps(
      { storage, scale: { size: header.size, clusterSize: geometry.clusterSize } },
      parts.bitmaps,
    );
    this.mapper = new Mapper(parts);
  }
}
