import { LamellaError } from '../errors/index.js';

const TWO_32 = 0x1_0000_0000;
/** Largest upper half of a 64-bit value that still fits a safe integer. */
const MAX_HIGH = 0x1f_ffff;

/** Byte order of a format's fields. */
export type Endian = 'big' | 'little';

/**
 * Reads an unsigned 64-bit field as a number.
 *
 * @throws LamellaError `LIMIT_EXCEEDED` for values above 2^53 - 1 (8 PiB)
 * @param position - byte of the view
 */
export function readUint64(
  view: DataView,
  position: number,
  endian: Endian,
  what: { readonly name: string; readonly location: string },
): number {
  const little = endian === 'little';
  const high = view.getUint32(position + (little ? 4 : 0), little);
  const low = view.getUint32(position + (little ? 0 : 4), little);
  if (high > MAX_HIGH) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `${what.name} is 0x${high.toString(16)}${low.toString(16).padStart(8, '0')}, beyond 8 PiB`,
      {
        location: what.location,
        hint: 'The image is damaged or larger than Lamella can address.',
      },
    );
  }
  return high * TWO_32 + low;
}

/**
 * Writes a safe non-negative integer as an unsigned 64-bit field.
 *
 * @param position - byte of the view
 */
export function writeUint64(view: DataView, position: number, value: number, endian: Endian): void {
  const little = endian === 'little';
  const high = Math.floor(value / TWO_32);
  view.setUint32(position + (little ? 4 : 0), high, little);
  view.setUint32(position + (little ? 0 : 4), value - high * TWO_32, little);
}

/** A `DataView` over exactly the bytes of an array. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
