import { LamellaError } from '@lamella/core';

// Declared here because the types of Node.js leave it to those of browsers.
declare const WebAssembly:
  | {
      readonly Memory: new (pages: {
        readonly initial: number;
        readonly maximum: number;
      }) => { readonly buffer: ArrayBuffer };
    }
  | undefined;

/** Bytes of one piece of aligned memory: the most that goes past the page cache in one call. */
export const CHUNK_SIZE = 256 * 1024;
/** Pieces in the whole process. Memory is taken from the system when a piece is first used. */
const CHUNKS = 128;
/** Bytes of a page of WebAssembly memory. */
const WASM_PAGE = 64 * 1024;

/**
 * Pieces of memory at addresses that direct I/O accepts. The memory of a `Buffer` begins anywhere; that of
 * WebAssembly begins at a page, on every platform and without any native code.
 */
class AlignedMemory {
  readonly #free: Uint8Array[];
  readonly #waiting: ((chunk: Uint8Array) => void)[] = [];

  constructor(memory: ArrayBuffer) {
    this.#free = Array.from(
      { length: CHUNKS },
      (_, i) => new Uint8Array(memory, i * CHUNK_SIZE, CHUNK_SIZE),
    ).reverse();
  }

  /**
   * Lends a piece of {@link CHUNK_SIZE} bytes with any content to an action, when one is free. An action
   * must not ask for a second one, or all could wait for each other.
   */
  async lend<T>(action: (chunk: Uint8Array) => Promise<T>): Promise<T> {
    const chunk =
      this.#free.pop() ?? (await new Promise<Uint8Array>((resolve) => this.#waiting.push(resolve)));
    try {
      return await action(chunk);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#free.push(chunk);
      } else {
        next(chunk);
      }
    }
  }
}

let shared: AlignedMemory | undefined;

/**
 * The aligned memory of this process.
 *
 * @throws LamellaError `UNSUPPORTED` where WebAssembly is switched off or address space is short
 */
export function alignedMemory(location: string): AlignedMemory {
  try {
    shared ??= new AlignedMemory(wasmMemory(CHUNKS * CHUNK_SIZE));
    return shared;
  } catch (cause) {
    throw new LamellaError('UNSUPPORTED', 'no aligned memory for going past the page cache', {
      location,
      hint: "Use the cache mode 'writeback', and allow WebAssembly and address space to Node.js.",
      cause,
    });
  }
}

export type { AlignedMemory };

function wasmMemory(bytes: number): ArrayBuffer {
  if (typeof WebAssembly === 'undefined') {
    throw new Error('WebAssembly is switched off');
  }
  const pages = bytes / WASM_PAGE;
  return new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer;
}
