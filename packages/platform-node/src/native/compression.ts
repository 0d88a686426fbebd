import type { Koffi, KoffiFunction, NativeArgument } from './koffi.js';
import { Limiter } from './limiter.js';
import type { NativeCalls } from './native-calls.js';

/** Calls under way at once: each keeps a context, and koffi has memory for so many only. */
const MAX_CALLS = 8;
/** zstd's own default. */
const ZSTD_LEVEL = 3;
/** `LIBDEFLATE_SUCCESS`. */
const SUCCESS = 0;

/** The codecs of libraries that this system has; libdeflate decompresses three times as fast as zlib. */
export function bindCompression(koffi: Koffi): Pick<NativeCalls, 'inflate' | 'zstd'> {
  return { ...optional(() => bindInflate(koffi)), ...optional(() => bindZstd(koffi)) };
}

/** Nothing, where a library or one of its functions is missing. */
function optional<T extends object>(bind: () => T): T | undefined {
  try {
    return bind();
  } catch {
    return undefined;
  }
}

function bindInflate(koffi: Koffi): Pick<NativeCalls, 'inflate'> {
  const library = koffi.load('libdeflate.so.0');
  const create = library.func('libdeflate_alloc_decompressor', 'uintptr_t', []);
  const decompress = library.func('libdeflate_deflate_decompress', 'int', [
    ...['uintptr_t', 'uintptr_t', 'size_t', 'uintptr_t', 'size_t', 'uintptr_t'],
  ]);
  const contexts = new Contexts(create);
  return {
    inflate: (input, output) =>
      contexts.use(async (context) => {
        const memory = [input, output];
        // No count of bytes is asked for: then only a whole output is a success.
        const args = [...place(koffi, context, input, output), 0];
        return (await called(decompress, args, memory)) === SUCCESS;
      }),
  };
}

function bindZstd(koffi: Koffi): Pick<NativeCalls, 'zstd'> {
  const library = koffi.load('libzstd.so.1');
  const buffers = ['uintptr_t', 'uintptr_t', 'size_t', 'uintptr_t', 'size_t'];
  // Sizes are returned as signed numbers: errors are the negated codes then.
  const decompress = library.func('ZSTD_decompressDCtx', 'int64_t', buffers);
  const compress = library.func('ZSTD_compressCCtx', 'int64_t', [...buffers, 'int']);
  const decoders = new Contexts(library.func('ZSTD_createDCtx', 'uintptr_t', []));
  const encoders = new Contexts(library.func('ZSTD_createCCtx', 'uintptr_t', []));
  const spare: Uint8Array[] = [];
  return {
    zstd: {
      decompress: (frame, output) =>
        decoders.use((context) =>
          called(decompress, place(koffi, context, output, frame), [frame, output]),
        ),
      compress: (input, maxLength) =>
        encoders.use(async (context) => {
          const last = spare.pop();
          const output =
            last === undefined || last.length < maxLength ? new Uint8Array(maxLength) : last;
          const room = output.subarray(0, maxLength);
          const args = [...place(koffi, context, room, input), ZSTD_LEVEL];
          const length = await called(compress, args, [input, output]);
          const result = length < 0 ? undefined : output.slice(0, length);
          spare.push(output);
          return result;
        }),
    },
  };
}

/** What compression keeps from call to call. Lives as long as the process. */
class Contexts {
  readonly #create: KoffiFunction;
  readonly #spare: NativeArgument[] = [];
  readonly #limiter = new Limiter(MAX_CALLS);

  constructor(create: KoffiFunction) {
    this.#create = create;
  }

  use<T>(action: (context: NativeArgument) => Promise<T>): Promise<T> {
    return this.#limiter.run(async () => {
      const context = this.#spare.pop() ?? this.#make();
      const result = await action(context);
      this.#spare.push(context);
      return result;
    });
  }

  #make(): NativeArgument {
    const context = this.#create();
    if ((typeof context !== 'number' && typeof context !== 'bigint') || Number(context) === 0) {
      throw new Error('a compression library has no memory');
    }
    return context;
  }
}

function place(
  koffi: Koffi,
  context: NativeArgument,
  first: Uint8Array,
  second: Uint8Array,
): NativeArgument[] {
  const { address } = koffi;
  return [context, address(first), first.length, address(second), second.length];
}

/**
 * Runs a function on the pool.
 *
 * @param memory - what it reads and writes; an ArrayBuffer never moves, and the callback holds these
 */
function called(
  run: KoffiFunction,
  args: readonly NativeArgument[],
  memory: readonly Uint8Array[],
): Promise<number> {
  return new Promise((resolve, reject) => {
    run.async(...args, (error: unknown, result: unknown) => {
      if (typeof result === 'number' && memory.length > 0) {
        resolve(result);
      } else {
        reject(error);
      }
    });
  });
}
