import type { ErrorCode } from '@lamella/core';
import { isLamellaError } from '@lamella/core';
import type { NativeCalls } from '@lamella/platform-node';
import { nativeCalls } from '@lamella/platform-node';
import type t from 'tap';

type Test = typeof t;

/** With and without the native helper: both have to behave alike. */
export const HELPERS: readonly (readonly [name: string, native: NativeCalls])[] = [
  ['native', nativeCalls()],
  ['without native', {}],
];

/** Asserts that an action fails with a LamellaError that names the file and says what to do. */
export async function fails(
  test: Pick<Test, 'equal' | 'match' | 'fail'>,
  code: ErrorCode,
  action: () => unknown,
): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!isLamellaError(error)) {
      test.fail(`not a LamellaError: ${String(error)}`);
      return;
    }
    test.equal(error.code, code, error.message);
    test.match(error.hint, /\S/, 'says what to do');
    return;
  }
  test.fail(`nothing was thrown, expected ${code}`);
}

/** Bytes that tell their position. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 1 + ((i * 7 + seed * 31 + (i >> 8)) % 255));
}

/** Resolves in a while. */
export function after(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
