import { TableCache } from '@lamella/core';
import { MetadataGuard } from './check/metadata-guard.js';
import { DataFileSpace } from './data-file/data-file-space.js';
import type { ReadParts } from './image.js';
import { L2Tables } from './mapping/l2-tables.js';
import { Allocator } from './refcount/allocator.js';
import { BlockMaker } from './refcount/block-maker.js';
import { CompressedPacker } from './refcount/compressed-packer.js';
import { DropApplier } from './refcount/drop-applier.js';
import { Drops } from './refcount/drops.js';
import { Refcounts } from './refcount/refcounts.js';
import { ReservedClusters } from './refcount/reserved-clusters.js';
import { PointerTable, REFCOUNT_TABLE_FORMAT } from './tables/pointer-table.js';
import { type ClusterSpace, RefcountedSpace } from './write/cluster-space.js';
import { EntryWriter } from './write/entry-writer.js';
import { Flusher } from './write/flusher.js';
import { Pressure } from './write/pressure.js';

/** The parts of an open image that writing needs. */
export interface WriteParts extends ReadParts {
  readonly refcounts: Refcounts;
  readonly allocator: Allocator;
  readonly packer: CompressedPacker;
  readonly drops: Drops;
  readonly space: ClusterSpace;
  readonly tables: L2Tables;
  readonly writer: EntryWriter;
  readonly flusher: Flusher;
  readonly pressure: Pressure;
  readonly guard: MetadataGuard;
}

/**
 * Reads the refcount table and makes the parts that writing needs.
 *
 * @throws LamellaError `IO_ERROR`; why the bitmaps can't be used: writing would make them wrong
 */
export async function writeParts(parts: ReadParts): Promise<WriteParts> {
  if (parts.bitmaps.failure !== undefined) {
    throw parts.bitmaps.failure;
  }
  const { storage, data, geometry, header, l1 } = parts;
  const refcounts = await readRefcounts(parts);
  const drops = new Drops(geometry.clusterSize);
  const reserved = new ReservedClusters();
  const guard = await MetadataGuard.make({ ...parts, refcounts });
  const common = { storage, geometry, refcounts, reserved, drops, guard };
  const allocator = new Allocator({ ...common, blocks: new BlockMaker(common) });
  const packer = new CompressedPacker({ ...common, allocator });
  const tables = new L2Tables({ storage, geometry, l1, cache: parts.l2Cache, allocator, drops });
  const space = geometry.externalData
    ? new DataFileSpace(data, header.size)
    : new RefcountedSpace(allocator, drops);
  const flusher = new Flusher({
    storage,
    data,
    clusterSize: 2 ** header.clusterBits,
    l1,
    tables,
    refcounts,
    drops,
    dropApplier: new DropApplier({ ...common, allocator, packer, compressed: parts.compressed }),
  });
  return {
    ...parts,
    guard,
    refcounts,
    allocator,
    packer,
    drops,
    tables,
    space,
    writer: new EntryWriter(tables, parts.entries, geometry, space),
    flusher,
    pressure: new Pressure({ caches: [parts.l2Cache, refcounts.cache], drops, flusher }),
  };
}

async function readRefcounts(parts: ReadParts): Promise<Refcounts> {
  const { storage, geometry, header } = parts;
  return new Refcounts({
    storage,
    geometry,
    cache: new TableCache(storage, {
      sliceSize: geometry.sliceSize,
      maxBytes: parts.refcountCacheSize,
    }),
    table: await PointerTable.read(storage, REFCOUNT_TABLE_FORMAT, {
      offset: header.refcountTableOffset,
      length: (header.refcountTableClusters * geometry.clusterSize) / 8,
      clusterSize: geometry.clusterSize,
    }),
  });
}
