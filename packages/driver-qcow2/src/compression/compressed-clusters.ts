import {
  type Awaitable,
  type CompressedExtent,
  type CompressionCodec,
  isPromise,
  LamellaError,
  type Storage,
} from '@lamella/core';
import { unsupported } from '../errors.js';
import type { CompressionType } from '../header/header.js';
import type { CompressedRange } from './descriptor.js';

/** Most bytes of decompressed clusters to keep, and fewest and most clusters. */
const MAX_BYTES = 2 * 1024 * 1024;
const MIN_CLUSTERS = 2;
const MAX_CLUSTERS = 16;

/** Names of the codecs by the names that users know the compression types by. */
const CODEC_NAMES: Readonly<Record<CompressionType, string>> = { zlib: 'deflate', zstd: 'zstd' };

interface Decompressed {
  readonly range: CompressedRange;
  readonly content: Awaitable<Uint8Array>;
}

/** What {@link CompressedClusters} needs to know of the image. */
export interface CompressedClustersOptions {
  readonly storage: Storage;
  /** Bytes. */
  readonly clusterSize: number;
  readonly type: CompressionType;
  readonly codecs: readonly CompressionCodec[];
}

/**
 * Decompresses clusters and keeps the last few, so that small reads one after the other decompress
 * once. A cluster that is being decompressed is waited for, not decompressed again.
 */
export class CompressedClusters {
  readonly #storage: Storage;
  readonly #clusterSize: number;
  readonly #type: CompressionType;
  readonly #codec: CompressionCodec | undefined;
  readonly #kept = new Map<number, Decompressed>();
  readonly #maxClusters: number;

  constructor(options: CompressedClustersOptions) {
    this.#storage = options.storage;
    this.#clusterSize = options.clusterSize;
    this.#type = options.type;
    this.#codec = options.codecs.find(({ name }) => name === CODEC_NAMES[options.type]);
    this.#maxClusters = Math.max(
      MIN_CLUSTERS,
      Math.min(MAX_CLUSTERS, MAX_BYTES / options.clusterSize),
    );
  }

  /** What compresses and decompresses; undefined where nothing is registered for it. */
  get codec(): CompressionCodec | undefined {
    return this.#codec;
  }

  /**
   * The extent for a part of a compressed cluster.
   *
   * @param from - first byte within the cluster
   * @param length - bytes
   * @throws LamellaError `UNSUPPORTED` without a codec
   */
  extent(range: CompressedRange, from: number, length: number): CompressedExtent {
    if (this.#codec === undefined) {
      throw unsupported(
        this.#storage.location,
        `no codec is registered for ${this.#type} compression`,
        `Register a CompressionCodec named '${CODEC_NAMES[this.#type]}'.`,
      );
    }
    const codec = this.#codec;
    // Whoever reads a whole cluster will hardly read it again soon.
    const direct = length === this.#clusterSize && !this.#kept.has(range.offset);
    return {
      kind: 'compressed',
      length,
      ...(direct &&
        codec.decompressInto !== undefined && {
          loadInto: (target) => this.#decompressInto(range, codec, target),
        }),
      load: () => {
        const cluster = this.#cluster(range, codec);
        return isPromise(cluster)
          ? cluster.then((bytes) => bytes.subarray(from, from + length))
          : cluster.subarray(from, from + length);
      },
    };
  }

  /** Forgets what was decompressed from a host range, which is about to hold something else. */
  forget(offset: number, length: number): void {
    for (const [key, { range }] of this.#kept) {
      if (range.offset < offset + length && offset < range.offset + range.length) {
        this.#kept.delete(key);
      }
    }
  }

  #cluster(range: CompressedRange, codec: CompressionCodec): Awaitable<Uint8Array> {
    const kept = this.#kept.get(range.offset);
    if (kept !== undefined && kept.range.length === range.length) {
      this.#keep(kept);
      return kept.content;
    }
    const content = this.#decompress(range, codec);
    const fresh = { range, content };
    this.#keep(fresh);
    content.then(
      (bytes) => this.#replace(fresh, { range, content: bytes }),
      () => this.#replace(fresh, undefined),
    );
    return content;
  }

  #keep(entry: Decompressed): void {
    this.#kept.delete(entry.range.offset);
    this.#kept.set(entry.range.offset, entry);
    for (const key of this.#kept.keys()) {
      if (this.#kept.size <= this.#maxClusters) {
        return;
      }
      this.#kept.delete(key);
    }
  }

  #replace(entry: Decompressed, by: Decompressed | undefined): void {
    if (this.#kept.get(entry.range.offset) === entry) {
      if (by === undefined) {
        this.#kept.delete(entry.range.offset);
      } else {
        this.#kept.set(entry.range.offset, by);
      }
    }
  }

  async #decompress(range: CompressedRange, codec: CompressionCodec): Promise<Uint8Array> {
    const input = await this.#read(range);
    try {
      return await codec.decompress(input, this.#clusterSize);
    } catch (cause) {
      throw this.#damaged(range, cause);
    }
  }

  async #decompressInto(
    range: CompressedRange,
    codec: CompressionCodec,
    target: Uint8Array,
  ): Promise<void> {
    const input = await this.#read(range);
    try {
      await codec.decompressInto?.(input, target);
    } catch (cause) {
      throw this.#damaged(range, cause);
    }
  }

  async #read(range: CompressedRange): Promise<Uint8Array> {
    const input = new Uint8Array(range.length);
    await this.#storage.read(input, range.offset);
    return input;
  }

  #damaged(range: CompressedRange, cause: unknown): LamellaError {
    return new LamellaError('CORRUPT', 'a compressed cluster does not decompress', {
      location: this.#storage.location,
      offset: range.offset,
      hint: 'Its data are damaged; restore the image from a backup.',
      cause,
    });
  }
}
