import type { InjectionToken } from 'tsyringe';
import type { Awaitable } from '../bytes/index.js';

/** A compression method that a format may use for its clusters. */
export interface CompressionCodec {
  /** `deflate` (raw, without zlib header, RFC 1951) or `zstd`, or a third party's name. */
  readonly name: string;

  /**
   * Decompresses one cluster. Bytes after the end of the compressed stream are ignored, because
   * formats pad to sectors.
   *
   * @param input - compressed bytes; not kept after the promise settles
   * @param outputLength - bytes that must come out
   * @returns exactly `outputLength` bytes
   * @throws LamellaError `CORRUPT` when the stream is damaged or gives another number of bytes
   */
  decompress(input: Uint8Array, outputLength: number): Awaitable<Uint8Array>;

  /**
   * Decompresses one cluster into memory of the caller, which is overwritten whatever comes of it. Spares
   * whoever reads much a copy.
   *
   * @param output - exactly as long as what must come out
   * @throws LamellaError as {@link CompressionCodec.decompress}
   */
  decompressInto?(input: Uint8Array, output: Uint8Array): Awaitable<void>;

  /**
   * Compresses one cluster. Several calls may be under way at once. A codec without this method can only
   * be read with.
   *
   * @param input - bytes; unchanged until the promise settles
   * @param maxLength - most bytes that the result may have, at least 1
   * @returns undefined when the result would be longer than `maxLength`
   * @throws LamellaError `UNSUPPORTED` when the platform lacks what it takes
   */
  compress?(input: Uint8Array, maxLength: number): Awaitable<Uint8Array | undefined>;
}

/** Multi-injection token: every registered {@link CompressionCodec}. */
export const COMPRESSION_CODEC: InjectionToken<CompressionCodec> = Symbol.for(
  'lamella.CompressionCodec',
);
