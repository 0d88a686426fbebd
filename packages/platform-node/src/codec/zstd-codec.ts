import { type CompressionCodec, LamellaError } from '@lamella/core';
import { inject, injectable } from 'tsyringe';
import { corruptStream } from './corrupt-stream.js';
import { type SoundFrame, soundFrame } from './zstd-frame.js';
import { ZSTD_LIBRARY, type ZstdFinder, type ZstdLibrary } from './zstd-library.js';

/** Frames that could give this many times what they have to are decompressed one at a time. */
const PLAUSIBLE_EXCESS = 4;

/**
 * Zstandard (RFC 8878), on the thread pool: by the system's library where koffi can call it, by Node.js
 * itself where it has it (22.15, 23.8 and later), else by the optional dependency `@toondepauw/node-zstd`.
 */
@injectable()
export class ZstdCodec implements CompressionCodec {
  readonly name = 'zstd';
  #library: ZstdLibrary | ZstdFinder | undefined;
  #turn: Promise<void> = Promise.resolve();

  /**
   * @param library - what does the work, or what finds it when it is needed; without it every call fails
   */
  constructor(
    @inject(ZSTD_LIBRARY, { isOptional: true }) library: ZstdLibrary | ZstdFinder | undefined,
  ) {
    this.#library = library;
  }

  /**
   * Decompresses one cluster, which is one frame. Bytes after it are ignored.
   *
   * @param outputLength - bytes that must come out. Memory that is taken for a while is bounded by a
   * small multiple of it, whatever the frame says
   * @throws LamellaError `CORRUPT` when the frame is damaged or gives another number of bytes,
   * `UNSUPPORTED` without a library
   */
  async decompress(input: Uint8Array, outputLength: number): Promise<Uint8Array> {
    const library = this.#present;
    const frame = soundFrame(input, outputLength);
    if (library.decompressInto !== undefined) {
      const output = new Uint8Array(outputLength);
      await this.#decompressInto(library.decompressInto, frame, output);
      return output;
    }
    const output =
      frame.mostBytes > PLAUSIBLE_EXCESS * outputLength
        ? await this.#alone(() => this.#decompress(library, frame, outputLength))
        : await this.#decompress(library, frame, outputLength);
    if (output.length !== outputLength) {
      throw corruptStream(this.name, `gives ${output.length} bytes instead of ${outputLength}`);
    }
    return output;
  }

  /**
   * Decompresses one cluster into memory of the caller, which is overwritten whatever comes of it.
   *
   * @throws LamellaError as {@link ZstdCodec.decompress}
   */
  async decompressInto(input: Uint8Array, output: Uint8Array): Promise<void> {
    const { decompressInto } = this.#present;
    if (decompressInto === undefined) {
      output.set(await this.decompress(input, output.length));
    } else {
      await this.#decompressInto(decompressInto, soundFrame(input, output.length), output);
    }
  }

  /**
   * Compresses one cluster at zstd's default level, into a frame that says how many bytes it gives and needs
   * no larger window.
   *
   * @param maxLength - most bytes of the result
   * @returns undefined when the result would be longer
   * @throws LamellaError `UNSUPPORTED` without a library
   */
  async compress(input: Uint8Array, maxLength: number): Promise<Uint8Array | undefined> {
    const compressed = await this.#present.compress(input, maxLength);
    if (compressed === undefined) {
      return undefined;
    }
    const { bytes: frame } = soundFrame(compressed, input.length);
    return frame.length <= maxLength ? frame : undefined;
  }

  get #present(): ZstdLibrary {
    if (typeof this.#library === 'function') {
      this.#library = this.#library();
    }
    if (this.#library === undefined) {
      throw new LamellaError('UNSUPPORTED', 'there is no zstd on this platform', {
        hint: 'Use Node.js 22.15 or later, or install @toondepauw/node-zstd.',
      });
    }
    return this.#library;
  }

  /** Runs one after the other what might take much memory. */
  #alone<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(action);
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  async #decompressInto(
    run: NonNullable<ZstdLibrary['decompressInto']>,
    frame: SoundFrame,
    output: Uint8Array,
  ): Promise<void> {
    try {
      await run(frame.bytes, output);
    } catch (cause) {
      throw corruptStream(this.name, 'is damaged', cause);
    }
  }

  async #decompress(
    library: ZstdLibrary,
    frame: SoundFrame,
    outputLength: number,
  ): Promise<Uint8Array> {
    try {
      return await library.decompress(frame.bytes, outputLength);
    } catch (cause) {
      throw corruptStream(this.name, 'is damaged', cause);
    }
  }
}
