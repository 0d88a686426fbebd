import { type ErrorCode, LamellaError, viewOf } from '@lamella/core';

/** Reads fields of a LUKS header and makes errors that say where they are in the file. */
export class HeaderFields {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #location: string;
  readonly #offset: number;

  /**
   * @param location - the image, for messages
   * @param offset - byte offset of the header within the file
   */
  constructor(bytes: Uint8Array, location: string, offset: number) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#location = location;
    this.#offset = offset;
  }

  /** The unsigned 16-bit field at a byte position. */
  uint16(at: number): number {
    return this.#view.getUint16(at);
  }

  /** The unsigned 32-bit field at a byte position. */
  uint32(at: number): number {
    return this.#view.getUint32(at);
  }

  /** A copy of some bytes. */
  bytes(at: number, length: number): Uint8Array {
    return this.#bytes.slice(at, at + length);
  }

  /**
   * A text that ends with a zero byte within its field.
   *
   * @throws LamellaError `INVALID_HEADER` when it does not, or is not printable ASCII
   */
  text(at: number, length: number, name: string): string {
    const field = this.#bytes.subarray(at, at + length);
    const end = field.indexOf(0);
    if (end < 0 || field.subarray(0, end).some((byte) => byte < 0x20 || byte > 0x7e)) {
      throw this.error(
        'INVALID_HEADER',
        at,
        `the field ${name} of the LUKS header is no text`,
        'The header is damaged; restore it from a backup.',
      );
    }
    return String.fromCharCode(...field.subarray(0, end));
  }

  /** An error about the field at a byte position. */
  error(code: ErrorCode, at: number, problem: string, hint: string): LamellaError {
    return new LamellaError(code, problem, {
      location: this.#location,
      offset: this.#offset + at,
      hint,
    });
  }
}
