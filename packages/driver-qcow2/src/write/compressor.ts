import {
  type CachedSlice,
  type ClusterCompressor,
  type CompressionCodec,
  LamellaError,
  type Storage,
} from '@lamella/core';
import type { CompressedClusters } from '../compression/compressed-clusters.js';
import {
  type CompressedRange,
  compressedDescriptor,
  compressedOffsetLimit,
} from '../compression/descriptor.js';
import { hasFeature, INCOMPATIBLE } from '../header/features.js';
import type { Header } from '../header/header.js';
import { locate } from '../mapping/guest-position.js';
import type { CompressedPacker } from '../refcount/compressed-packer.js';
import { EntryAllocation } from './allocations.js';
import type { EntryRun, EntryWriter } from './entry-writer.js';
import type { Pressure } from './pressure.js';

/** What a compressor works on. */
export interface CompressorParts {
  readonly storage: Storage;
  readonly header: Header;
  readonly compressed: CompressedClusters;
  readonly packer: CompressedPacker;
  readonly writer: EntryWriter;
  readonly pressure: Pressure;
}

/**
 * What stores clusters compressed; undefined where the image can't have them - the data are encrypted or in
 * another file - or nothing is registered that compresses that way.
 */
export function createCompressor(parts: CompressorParts): ClusterCompressor | undefined {
  const { header, compressed } = parts;
  const { codec } = compressed;
  const possible =
    header.cryptMethod === 0 && !hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile);
  return possible && codec?.compress !== undefined ? new Compressor(parts, codec) : undefined;
}

/**
 * Stores clusters compressed. QEMU does that for unallocated clusters only; here whatever the cluster held
 * is dropped as by any other write.
 */
class Compressor implements ClusterCompressor {
  readonly #parts: CompressorParts;
  readonly #codec: CompressionCodec;

  constructor(parts: CompressorParts, codec: CompressionCodec) {
    this.#parts = parts;
    this.#codec = codec;
  }

  compress(bytes: Uint8Array) {
    return this.#codec.compress?.(bytes, bytes.length - 1);
  }

  async store(compressed: Uint8Array, offset: number): Promise<void> {
    const { storage, writer, packer, pressure } = this.#parts;
    if (pressure.high) {
      await pressure.relieve();
    }
    const { length } = compressed;
    const cluster = new PackedCluster(
      writer,
      { ...locate(writer.geometry, offset), count: 1 },
      storage,
      { offset: await packer.reserve(length), length },
    );
    try {
      cluster.assertReachable();
      await storage.write(compressed, cluster.offset);
      await cluster.commit();
    } catch (error) {
      cluster.abort();
      throw error;
    }
  }
}

/** A guest cluster that moves to compressed data. */
class PackedCluster extends EntryAllocation {
  readonly #bits: number;

  constructor(writer: EntryWriter, run: EntryRun, storage: Storage, range: CompressedRange) {
    super(writer, run, { ...range, storage, copyBefore: 0, copyAfter: 0, fresh: false });
    this.#bits = Math.log2(writer.geometry.clusterSize);
  }

  /**
   * @throws LamellaError `LIMIT_EXCEEDED` when the data lie too far back for a descriptor
   */
  assertReachable(): void {
    if (this.offset + this.length > compressedOffsetLimit(this.#bits)) {
      throw new LamellaError(
        'LIMIT_EXCEEDED',
        'the file is too long for more compressed clusters',
        {
          location: this.storage.location,
          offset: this.offset,
          hint: 'Write without compression, or convert to smaller clusters.',
        },
      );
    }
  }

  abort(): void {
    this.writer.giveUp(this.offset, this.length);
  }

  protected change(slice: CachedSlice, index: number): void {
    const { entries, geometry } = this.writer;
    this.writer.drop(slice, index, false);
    const { high, low } = compressedDescriptor(this, this.#bits);
    entries.set(slice, index, high, low);
    if (geometry.extended) {
      entries.setBitmap(slice, index, 0, 0);
    }
  }
}
