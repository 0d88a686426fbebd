import {
  type Awaitable,
  isLamellaError,
  LamellaError,
  type Placement,
  type Storage,
  viewOf,
} from '@lamella/core';
import type { BitmapsExtension } from '../bitmaps/extension.js';
import type { LoadedBitmaps } from '../bitmaps/loaded.js';
import { readPointer } from '../encryption/pointer.js';
import type { Geometry } from '../geometry.js';
import { INCOMPATIBLE } from '../header/features.js';
import { FIELD, type Header } from '../header/header.js';
import type { Refcounts } from '../refcount/refcounts.js';
import type { PointerTable } from '../tables/pointer-table.js';
import { ClusterBits } from './cluster-bits.js';
import { type Region, snapshotRegions } from './snapshot-regions.js';

/** What a {@link MetadataGuard} watches over. */
export interface MetadataGuardParts {
  readonly storage: Storage;
  readonly header: Header;
  readonly geometry: Geometry;
  readonly l1: PointerTable;
  readonly refcounts: Refcounts;
  readonly bitmaps: LoadedBitmaps;
}

/**
 * Keeps writes away from metadata: the header, the active L1 table, the refcount table and its blocks,
 * active L2 tables, the snapshot table, the snapshots' L1 tables, the bitmap directory (like QEMU's
 * `overlap-check=cached`) and the LUKS header, without which all data would be lost.
 * One bit per cluster says that metadata may be there, so an admission costs the same in every image; only
 * when it is set is the place looked up. On a hit the image is marked as corrupt, durably, and takes no
 * more writes.
 */
export class MetadataGuard {
  readonly #parts: MetadataGuardParts;
  readonly #bits = new ClusterBits();
  #bitmapDirectory: BitmapsExtension | undefined;
  #conflict: { readonly name: string; readonly offset: number } | undefined;
  #failure: Promise<never> | undefined;

  private constructor(parts: MetadataGuardParts) {
    this.#parts = parts;
    this.#bitmapDirectory = parts.bitmaps.extension;
  }

  /**
   * Learns where metadata is. Kinds of metadata that lie over each other already make it refuse the first
   * write.
   *
   * @throws LamellaError as `Storage.read`
   */
  static async make(parts: MetadataGuardParts): Promise<MetadataGuard> {
    const guard = new MetadataGuard(parts);
    const { storage, geometry, l1, refcounts } = parts;
    for (const region of guard.#fixedRegions()) {
      guard.#learn(region, true);
    }
    for (const region of await snapshotRegions(storage, geometry.clusterSize)) {
      guard.#learn(region, true);
    }
    const length = geometry.clusterSize;
    for (let index = 0; index < refcounts.table.length; index += 1) {
      const offset = refcounts.table.get(index);
      if (offset > 0) {
        guard.#learn({ name: 'refcount block', offset, length }, true);
      }
    }
    // L2 tables may be shared among L1 entries, so only others count as overlaps.
    const others = guard.#knownClusters(l1);
    for (const offset of others) {
      guard.#conflict ??= { name: 'L2 table', offset };
    }
    const watcher = (pointer: number) => guard.#watch(pointer);
    l1.watch(watcher);
    refcounts.table.watch(watcher);
    return guard;
  }

  /** Whether writes are refused: metadata overlaps. */
  get refuses(): boolean {
    return this.#failure !== undefined || this.#conflict !== undefined;
  }

  /** Fails with the reason why writes are refused, once the image is marked as corrupt. */
  refuse(): Promise<never> {
    const { name, offset } = this.#conflict ?? { name: 'metadata', offset: 0 };
    this.#failure ??= this.#fail(`${name} lies over other metadata`, offset);
    return this.#failure;
  }

  /**
   * Passes an error of a write on. Broken metadata in a write's way marks the image as corrupt first: it
   * may be broken elsewhere, too.
   *
   * @throws LamellaError the error itself
   */
  condemn(error: unknown): Promise<never> {
    if (!isLamellaError(error, 'CORRUPT')) {
      return Promise.reject(error);
    }
    this.#failure ??= this.#mark().then(() => {
      throw error;
    });
    return this.#failure;
  }

  /**
   * Admits a write to a range of the image file.
   *
   * @throws LamellaError `CORRUPT` (as a rejection) when metadata is there
   */
  admit(offset: number, length: number): Awaitable<void> {
    const { clusterSize } = this.#parts.geometry;
    const last = Math.floor((offset + length - 1) / clusterSize);
    for (let cluster = Math.floor(offset / clusterSize); cluster <= last; cluster += 1) {
      if (this.#bits.has(cluster)) {
        return this.#examine(cluster, last);
      }
    }
  }

  /** Admits where a guest's write goes; what goes to another file is none of this image's metadata. */
  admitPlacement(placement: Placement): Awaitable<Placement> {
    if (placement.storage !== this.#parts.storage) {
      return placement;
    }
    const admitted = this.admit(placement.offset, placement.length);
    return admitted === undefined ? placement : admitted.then(() => placement);
  }

  /** The bitmap directory is elsewhere now, or gone. */
  bitmapDirectoryMoved(extension: BitmapsExtension | undefined): void {
    this.#bitmapDirectory = extension;
    for (const region of directoryRegion(extension)) {
      this.#learn(region, false);
    }
  }

  /** Finds out what is at clusters that may hold metadata. */
  async #examine(first: number, last: number): Promise<void> {
    const { clusterSize } = this.#parts.geometry;
    const snapshots = await snapshotRegions(this.#parts.storage, clusterSize);
    for (let cluster = first; cluster <= last; cluster += 1) {
      if (this.#bits.has(cluster)) {
        const offset = cluster * clusterSize;
        const name = this.#nameOf(offset, snapshots);
        if (name !== undefined) {
          this.#failure ??= this.#fail(`a write would go over the ${name}`, offset);
          return this.#failure;
        }
        this.#bits.delete(cluster);
      }
    }
  }

  #nameOf(offset: number, snapshots: readonly Region[]): string | undefined {
    const { geometry, l1, refcounts } = this.#parts;
    const { clusterSize } = geometry;
    const region = [...this.#fixedRegions(), ...snapshots].find(
      (known) => known.offset < offset + clusterSize && offset < known.offset + known.length,
    );
    if (region !== undefined) {
      return region.name;
    }
    const refersTo = (table: PointerTable) => {
      for (let index = 0; index < table.length; index += 1) {
        if (table.get(index) === offset) {
          return true;
        }
      }
      return false;
    };
    if (refersTo(refcounts.table)) {
      return 'refcount block';
    }
    return refersTo(l1) ? 'L2 table' : undefined;
  }

  #fixedRegions(): Region[] {
    const { storage, header, geometry, l1, refcounts } = this.#parts;
    const { offset, length } = refcounts.table;
    const luks = header.cryptMethod === 2 ? [readPointer(header, storage.location)] : [];
    return [
      ...luks.map((pointer) => ({ name: 'LUKS header', ...pointer })),
      { name: 'header', offset: 0, length: geometry.clusterSize },
      { name: 'active L1 table', offset: l1.offset, length: l1.length * 8 },
      { name: 'refcount table', offset, length: length * 8 },
      ...directoryRegion(this.#bitmapDirectory),
    ];
  }

  #learn({ name, offset, length }: Region, exclusive: boolean): void {
    const { clusterSize } = this.#parts.geometry;
    const end = Math.ceil((offset + length) / clusterSize);
    for (let cluster = Math.floor(offset / clusterSize); cluster < end; cluster += 1) {
      if (exclusive && this.#bits.has(cluster)) {
        this.#conflict ??= { name: `the ${name}`, offset: cluster * clusterSize };
      }
      this.#bits.add(cluster);
    }
  }

  /** Takes in the clusters of a table's pointers; gives those that were known as something else. */
  #knownClusters(table: PointerTable): number[] {
    const { clusterSize } = this.#parts.geometry;
    const known: number[] = [];
    const own = new ClusterBits();
    for (let index = 0; index < table.length; index += 1) {
      const offset = table.get(index);
      const cluster = offset / clusterSize;
      if (offset > 0 && !own.has(cluster)) {
        if (this.#bits.has(cluster)) {
          known.push(offset);
        }
        own.add(cluster);
        this.#bits.add(cluster);
      }
    }
    return known;
  }

  #watch(pointer: number): void {
    if (pointer > 0) {
      this.#bits.add(pointer / this.#parts.geometry.clusterSize);
    }
  }

  /** Marks the image as corrupt before anybody hears of it. */
  async #fail(problem: string, offset: number): Promise<never> {
    await this.#mark();
    throw new LamellaError('CORRUPT', `${problem}; nothing was written`, {
      location: this.#parts.storage.location,
      offset,
      hint: "The image takes no more writes. Repair it: check with repair 'all', or qemu-img check -r all.",
    });
  }

  /** Sets the corrupt bit and makes it durable. Version 2 has no place for it. */
  async #mark(): Promise<void> {
    const { storage, header } = this.#parts;
    if (header.version === 3) {
      const bits = new Uint8Array(8);
      await storage.read(bits, FIELD.incompatible);
      const low = viewOf(bits).getUint32(4) | (1 << INCOMPATIBLE.corrupt);
      viewOf(bits).setUint32(4, low);
      await storage.write(bits, FIELD.incompatible);
      await storage.flush();
    }
  }
}

function directoryRegion(extension: BitmapsExtension | undefined): Region[] {
  return extension === undefined
    ? []
    : [{ name: 'bitmap directory', offset: extension.offset, length: extension.size }];
}
