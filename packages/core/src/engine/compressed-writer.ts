import type { ClusterCompressor, Image } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import type { EngineLayer } from './layers.js';
import { Pending } from './pending.js';
import { Turns } from './turns.js';
import type { Writer } from './writer.js';

/** Most clusters, and most bytes of them, that one request compresses and stores at once. */
const MAX_IN_FLIGHT = 32;
const MAX_BYTES_IN_FLIGHT = 8 * 1024 * 1024;

/** A cluster that is being compressed. */
interface Compressing {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly compressed: Promise<Uint8Array | undefined>;
}

/** Writes whole clusters compressed into the top image of a stack. */
export class CompressedWriter {
  readonly #top: EngineLayer;
  readonly #writer: Writer;
  /** A request has begun when all its stores have. */
  readonly #turns = new Turns();

  /**
   * @param writer - for clusters that do not get smaller, and for its order among all changes
   */
  constructor(top: EngineLayer, writer: Writer) {
    this.#top = top;
    this.#writer = writer;
  }

  /**
   * Compresses several clusters at once and stores each as soon as those before it are under way, so that
   * they lie in order; those of a later request begin after those of an earlier one.
   *
   * @throws LamellaError `UNSUPPORTED`, `INVALID_ARGUMENT` when the range is not of whole clusters
   */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    const { image } = this.#top;
    const compressor = this.#compressor(image);
    this.#checkAligned(image, offset, bytes.length);
    const unit = image.clusterSize;
    const atOnce = Math.max(2, Math.min(MAX_IN_FLIGHT, MAX_BYTES_IN_FLIGHT / unit));
    const queue: Compressing[] = [];
    const pending = new Pending(atOnce);
    let started = 0;
    const { before, begun } = this.#turns.take();
    try {
      while (!pending.failed && (started < bytes.length || queue.length > 0)) {
        for (; started < bytes.length && queue.length < atOnce; started += unit) {
          const part = bytes.subarray(started, started + unit);
          queue.push(compress(compressor, part, offset + started, unit));
        }
        const next = queue.shift();
        if (next !== undefined) {
          const compressed = await next.compressed;
          await before;
          await pending.room();
          pending.add(this.#store(compressor, next, compressed));
        }
      }
    } catch (error) {
      pending.fail(error);
    }
    begun();
    // The caller may change the bytes once this is over, so nobody may be compressing them still.
    await Promise.allSettled(queue.map(({ compressed }) => compressed));
    await pending.settle();
  }

  async #store(
    compressor: ClusterCompressor,
    { bytes, offset }: Compressing,
    compressed: Uint8Array | undefined,
  ): Promise<void> {
    if (compressed === undefined) {
      await this.#writer.write(bytes, offset);
      return;
    }
    const { clusterSize } = this.#top.image;
    await this.#writer.exclusively(offset, clusterSize, () => compressor.store(compressed, offset));
  }

  #compressor(image: Image): ClusterCompressor {
    if (image.compressor === undefined) {
      throw new LamellaError('UNSUPPORTED', 'this image cannot hold compressed clusters', {
        location: this.#top.storage.location,
        hint: 'Write without compression, or convert to a format and options that have it.',
      });
    }
    return image.compressor;
  }

  #checkAligned(image: Image, offset: number, length: number): void {
    const unit = image.clusterSize;
    if (offset % unit !== 0 || ((offset + length) % unit !== 0 && offset + length !== image.size)) {
      throw new LamellaError(
        'INVALID_ARGUMENT',
        `${length} bytes are not whole clusters of ${unit} bytes, so they cannot be compressed`,
        {
          location: this.#top.storage.location,
          offset,
          hint: 'Compressed writes start and end at cluster boundaries, or at the end of the disk.',
        },
      );
    }
  }
}

/** Starts to compress a cluster; the disk's last is filled up with zeroes. */
function compress(
  compressor: ClusterCompressor,
  bytes: Uint8Array,
  offset: number,
  clusterSize: number,
): Compressing {
  let whole = bytes;
  if (bytes.length < clusterSize) {
    whole = new Uint8Array(clusterSize);
    whole.set(bytes);
  }
  const compressed = (async () => compressor.compress(whole))();
  // A failure is reported when its turn comes; until then nobody looks at it.
  compressed.catch(() => undefined);
  return { bytes, offset, compressed };
}
