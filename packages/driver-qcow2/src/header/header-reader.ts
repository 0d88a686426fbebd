import { type ErrorCode, LamellaError, readUint64, viewOf } from '@lamella/core';
import type { FeatureBits } from './features.js';

/** Reads fields of a header and makes errors that name the field, its position and the file. */
export class HeaderReader {
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly location: string,
  ) {
    this.#view = viewOf(bytes);
  }

  /** The unsigned 32-bit field at a byte position. */
  uint32(at: number): number {
    return this.#view.getUint32(at);
  }

  /**
   * The unsigned 64-bit field at a byte position.
   *
   * @throws LamellaError `LIMIT_EXCEEDED` above 2^53 - 1
   */
  uint64(at: number, name: string): number {
    try {
      return readUint64(this.#view, at, 'big', { name, location: this.location });
    } catch (cause) {
      throw cause instanceof LamellaError
        ? new LamellaError(cause.code, cause.problem, {
            location: this.location,
            offset: at,
            hint: cause.hint,
          })
        : cause;
    }
  }

  /** The feature bitmap at a byte position. */
  features(at: number): FeatureBits {
    return { high: this.uint32(at), low: this.uint32(at + 4) };
  }

  /** An error about the field at a byte position. */
  error(code: ErrorCode, at: number, problem: string, hint: string): LamellaError {
    return new LamellaError(code, problem, { location: this.location, offset: at, hint });
  }
}
