import { promisify } from 'node:util';
import { constants, inflateRaw } from 'node:zlib';
import type { CompressionCodec } from '@lamella/core';
import { LamellaError } from '@lamella/core';
import { injectable } from 'tsyringe';

const inflate = promisify<Uint8Array, Parameters<typeof inflateRaw>[1], Buffer>(inflateRaw);

/** Smallest output chunk that zlib takes. */
const MIN_CHUNK = 64;

/** Raw deflate (RFC 1951) by Node.js's zlib, on the thread pool. */
@injectable()
export class DeflateCodec implements CompressionCodec {
  readonly name = 'deflate';

  /**
   * Decompresses one cluster. Bytes after the end of the stream are ignored. A stream that was cut
   * after its last byte of content is accepted, as QEMU does.
   *
   * @param outputLength - bytes that must come out; no more than that is ever allocated, whatever
   * the stream says
   * @throws LamellaError `CORRUPT` when the stream is damaged or gives another number of bytes
   */
  async decompress(input: Uint8Array, outputLength: number): Promise<Uint8Array> {
    const output = await this.#inflate(input, outputLength);
    if (output.length !== outputLength) {
      throw corrupt(`gives ${output.length} bytes instead of ${outputLength}`);
    }
    return output;
  }

  async #inflate(input: Uint8Array, outputLength: number): Promise<Uint8Array> {
    try {
      return await inflate(input, {
        maxOutputLength: Math.max(1, outputLength),
        // One byte to spare: zlib then sees the stream's end without a second chunk and a copy.
        chunkSize: Math.max(MIN_CHUNK, outputLength + 1),
        finishFlush: constants.Z_SYNC_FLUSH,
      });
    } catch (cause) {
      const tooLong =
        cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE';
      throw corrupt(tooLong ? `gives more than ${outputLength} bytes` : 'is damaged', cause);
    }
  }
}

function corrupt(what: string, cause?: unknown): LamellaError {
  return new LamellaError('CORRUPT', `a compressed (deflate) cluster ${what}`, {
    hint: 'The image is damaged; check it, or restore it from a backup.',
    cause,
  });
}
