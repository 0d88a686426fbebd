import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';
import type { InjectionToken } from 'tsyringe';
import { type NativeCalls, nativeCalls } from '../native/native-calls.js';

/** An implementation of Zstandard that works off the main thread, on the thread pool. */
export interface ZstdLibrary {
  /**
   * Compresses into one frame.
   *
   * @param maxLength - bytes from which on the result is of no use
   * @returns undefined, or any frame, when it would be longer
   * @throws Error of any kind
   */
  compress(input: Uint8Array, maxLength: number): Promise<Uint8Array | undefined>;
  /**
   * Decompresses one frame whose header claims nothing absurd.
   *
   * @param maxLength - bytes that are expected; giving more may be an error
   * @throws Error of any kind for a frame that is damaged
   */
  decompress(frame: Uint8Array, maxLength: number): Promise<Uint8Array>;
  /**
   * Decompresses one frame into memory of the caller, and takes none itself, whatever the frame says. An
   * error when the frame gives another number of bytes.
   *
   * @throws Error of any kind for a frame that is damaged
   */
  decompressInto?(frame: Uint8Array, output: Uint8Array): Promise<void>;
}

/** Finds a library when it is needed for the first time. */
export type ZstdFinder = () => ZstdLibrary | undefined;

/** Token of the {@link ZstdLibrary} to use. */
export const ZSTD_LIBRARY: InjectionToken<ZstdLibrary | ZstdFinder | undefined> =
  Symbol.for('lamella.ZstdLibrary');

/** zstd's own default. */
const LEVEL = 3;
const PACKAGE = '@toondepauw/node-zstd';

/**
 * The system's library; undefined where it can't be called.
 *
 * @param calls - by which it is called
 */
export function systemZstd({ zstd }: NativeCalls = nativeCalls()): ZstdLibrary | undefined {
  if (zstd === undefined) {
    return undefined;
  }
  const decompressInto = async (frame: Uint8Array, output: Uint8Array): Promise<void> => {
    const count = await zstd.decompress(frame, output);
    if (count !== output.length) {
      throw new Error(`zstd gives ${count} instead of ${output.length} bytes`);
    }
  };
  return {
    compress: (input, maxLength) => zstd.compress(input, maxLength),
    decompressInto,
    async decompress(frame, maxLength) {
      const output = new Uint8Array(maxLength);
      await decompressInto(frame, output);
      return output;
    },
  };
}

/**
 * Node.js's own, from 22.15 and 23.8 on; undefined in older versions.
 *
 * @param functions - where to look; `node:zlib` by default
 */
export function builtInZstd(functions: object = zlib): ZstdLibrary | undefined {
  const compress = method(functions, 'zstdCompress');
  const decompress = method(functions, 'zstdDecompress');
  if (compress === undefined || decompress === undefined) {
    return undefined;
  }
  return {
    compress: (input) => called(compress, input, { pledgedSrcSize: input.length }),
    decompress: (frame, maxLength) =>
      called(decompress, frame, { maxOutputLength: maxLength, chunkSize: chunkFor(maxLength) }),
  };
}

/**
 * The optional dependency `@toondepauw/node-zstd`, a prebuilt addon; undefined where it is not installed
 * or has no binary for this platform.
 */
export function packagedZstd(): ZstdLibrary | undefined {
  try {
    const loaded: unknown = createRequire(import.meta.url)(PACKAGE);
    if (!isPackage(loaded)) {
      return undefined;
    }
    const encoder = new loaded.Encoder(LEVEL);
    const decoder = new loaded.Decoder();
    return {
      compress: (input) => encoder.encode(asBuffer(input)),
      decompress: (frame) => decoder.decode(asBuffer(frame)),
    };
  } catch {
    return undefined;
  }
}

/** The part of the package that is used here. */
interface ZstdPackage {
  readonly Encoder: new (level: number) => { encode(data: Buffer): Promise<Buffer> };
  readonly Decoder: new () => { decode(data: Buffer): Promise<Buffer> };
}

function isPackage(value: unknown): value is ZstdPackage {
  return (
    typeof value === 'object' &&
    value !== null &&
    'Encoder' in value &&
    typeof value.Encoder === 'function' &&
    'Decoder' in value &&
    typeof value.Decoder === 'function'
  );
}

/** The same memory as a `Buffer`. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Smallest output chunk that zlib takes, and one byte to spare so that the end needs no second chunk. */
function chunkFor(length: number): number {
  return Math.max(64, length + 1);
}

type Method = (...args: readonly unknown[]) => unknown;

/** A function that the type declarations of Node.js 20 do not know. */
function method(owner: object, name: string): Method | undefined {
  const value: unknown = Reflect.get(owner, name);
  return typeof value === 'function'
    ? (...args) => Reflect.apply(value, undefined, args)
    : undefined;
}

function called(run: Method, input: Uint8Array, options: object): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    run(input, options, (error: unknown, result: unknown) => {
      if (result instanceof Uint8Array) {
        resolve(result);
      } else {
        reject(error);
      }
    });
  });
}
