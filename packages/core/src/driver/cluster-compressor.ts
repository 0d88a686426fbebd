import type { Awaitable } from '../bytes/index.js';

/**
 * How an image stores clusters compressed, in two steps: the first touches nothing and may run for many
 * clusters at once, also beside other requests to them; only the second changes the image.
 */
export interface ClusterCompressor {
  /**
   * Compresses the bytes of one cluster.
   *
   * @param bytes - as many as a cluster has; unchanged until the promise settles
   * @returns undefined when that gains nothing: the engine then writes them as they are
   * @throws LamellaError `UNSUPPORTED` when the platform can't compress that way
   */
  compress(bytes: Uint8Array): Awaitable<Uint8Array | undefined>;

  /**
   * Stores what {@link ClusterCompressor.compress} returned, in place of what the cluster held. The engine
   * lets no other write, discard or zeroing into the cluster meanwhile. Calls that are made one after the
   * other, for different clusters, may overlap in time; their space is given out in the order of the calls.
   *
   * @param compressed - the cluster's compressed bytes
   * @param offset - first byte of the cluster on the guest's disk
   * @throws LamellaError as `Image.place`
   */
  store(compressed: Uint8Array, offset: number): Promise<void>;
}
