import { promisify } from 'node:util';
import { constants, deflateRaw, inflateRaw, type ZlibOptions } from 'node:zlib';
import type { CompressionCodec } from '@lamella/core';
import { inject, injectable } from 'tsyringe';
import { NATIVE_CALLS, type NativeCalls } from '../native/native-calls.js';
import { corruptStream } from './corrupt-stream.js';
import { isNoise } from './random-data.js';

/** Smallest output chunk that zlib takes. */
const MIN_CHUNK = 64;
/** Size of the window that every reader of qcow2 has, as a power of two. */
const WINDOW_BITS = 12;
/** Most memory for zlib's state: some per cent faster and smaller than its default. */
const MEMORY_LEVEL = 9;

/** Raw deflate (RFC 1951) by Node.js's zlib and, where the system has it, libdeflate, on the thread pool. */
@injectable()
export class DeflateCodec implements CompressionCodec {
  readonly name = 'deflate';
  readonly #native: NativeCalls | undefined;

  /**
   * @param native - decompresses faster where it can
   */
  constructor(@inject(NATIVE_CALLS, { isOptional: true }) native?: NativeCalls) {
    this.#native = native;
  }

  /**
   * Decompresses one cluster. Bytes after the end of the stream are ignored. A stream that was cut
   * after its last byte of content is accepted, as QEMU does.
   *
   * @param outputLength - bytes that must come out; no more than that is ever allocated, whatever
   * the stream says
   * @throws LamellaError `CORRUPT` when the stream is damaged or gives another number of bytes
   */
  async decompress(input: Uint8Array, outputLength: number): Promise<Uint8Array> {
    if (this.#native?.inflate !== undefined) {
      const output = new Uint8Array(outputLength);
      await this.decompressInto(input, output);
      return output;
    }
    return this.#decompress(input, outputLength);
  }

  /**
   * Decompresses one cluster into memory of the caller, which is overwritten whatever comes of it.
   *
   * @throws LamellaError as {@link DeflateCodec.decompress}
   */
  async decompressInto(input: Uint8Array, output: Uint8Array): Promise<void> {
    // A stream that is not as it should be is zlib's to judge.
    const done = (await this.#native?.inflate?.(input, output)) ?? false;
    if (!done) {
      output.set(await this.#decompress(input, output.length));
    }
  }

  /**
   * Compresses one cluster at zlib's default level, with the window of 4 KiB that QEMU's reader of qcow2
   * has.
   *
   * @param maxLength - most bytes of the result
   * @returns undefined when the result would be longer, or, if that is no more than the input, very likely
   */
  async compress(input: Uint8Array, maxLength: number): Promise<Uint8Array | undefined> {
    if (maxLength <= input.length && isNoise(input)) {
      return undefined;
    }
    try {
      return await promisify<Uint8Array, ZlibOptions, Buffer>(deflateRaw)(input, {
        windowBits: WINDOW_BITS,
        memLevel: MEMORY_LEVEL,
        maxOutputLength: maxLength,
        chunkSize: Math.max(MIN_CHUNK, maxLength + 1),
      });
    } catch (error) {
      if (isTooLarge(error)) {
        return undefined;
      }
      throw error;
    }
  }

  async #decompress(input: Uint8Array, outputLength: number): Promise<Uint8Array> {
    let output: Uint8Array;
    try {
      output = await promisify<Uint8Array, ZlibOptions, Buffer>(inflateRaw)(input, {
        maxOutputLength: Math.max(1, outputLength),
        // One byte to spare: zlib then sees the stream's end without a second chunk and a copy.
        chunkSize: Math.max(MIN_CHUNK, outputLength + 1),
        finishFlush: constants.Z_SYNC_FLUSH,
      });
    } catch (cause) {
      const what = isTooLarge(cause) ? `gives more than ${outputLength} bytes` : 'is damaged';
      throw corruptStream(this.name, what, cause);
    }
    if (output.length !== outputLength) {
      throw corruptStream(this.name, `gives ${output.length} bytes instead of ${outputLength}`);
    }
    return output;
  }
}

/** Whether zlib stopped because the output passed `maxOutputLength`. */
function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
}
