import { createRequire } from 'node:module';

/** What is passed to C: numbers and addresses; before a variable argument, the name of its type. */
export type NativeArgument = number | bigint | string;

/** A C function as koffi binds it. */
export interface KoffiFunction {
  (...args: NativeArgument[]): unknown;
  /** Runs on libuv's pool; the last argument is a callback `(error, result)`. */
  async(...args: [...NativeArgument[], (error: unknown, result: unknown) => void]): void;
}

/** The part of koffi that is used here. */
export interface Koffi {
  /** Loads a library, or finds what the process has; throws where there is no such library. */
  load(path: string | null): {
    func(name: string, result: string, parameters: readonly string[]): KoffiFunction;
  };
  /** Address of the memory behind a buffer. */
  address(memory: ArrayBufferView): bigint;
  /** `errno` of the last call; within the callback of an asynchronous call, of that call. */
  errno(): number;
}

function isKoffi(value: unknown): value is Koffi {
  return (
    typeof value === 'object' &&
    value !== null &&
    'load' in value &&
    typeof value.load === 'function' &&
    'address' in value &&
    typeof value.address === 'function' &&
    'errno' in value &&
    typeof value.errno === 'function'
  );
}

/**
 * The optional dependency koffi, or undefined where it is not installed or has no binary for this
 * platform.
 */
export function requireKoffi(): Koffi | undefined {
  try {
    const loaded: unknown = createRequire(import.meta.url)('koffi');
    return isKoffi(loaded) ? loaded : undefined;
  } catch {
    return undefined;
  }
}
