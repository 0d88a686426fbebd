/** Reads and writes refcounts of one width within a slice of a refcount block. */
export interface RefcountWidth {
  /** Largest refcount that fits, at most 2^53 - 1. */
  readonly max: number;
  /** The refcount at an index; more than {@link RefcountWidth.max} if it is beyond 2^53 - 1. */
  get(view: DataView, index: number): number;
  set(view: DataView, index: number, value: number): void;
}

const TWO_32 = 0x1_0000_0000;

/**
 * The access to refcounts of a width (specification: "Refcount block entry"): below a byte, the
 * lowest bits come first; above, big-endian.
 *
 * @param bits - 1, 2, 4, 8, 16, 32 or 64
 */
export function refcountWidth(bits: number): RefcountWidth {
  switch (bits) {
    case 8:
      return {
        max: 0xff,
        get: (view, index) => view.getUint8(index),
        set: (view, index, value) => view.setUint8(index, value),
      };
    case 16:
      return {
        max: 0xffff,
        get: (view, index) => view.getUint16(index * 2),
        set: (view, index, value) => view.setUint16(index * 2, value),
      };
    case 32:
      return {
        max: 0xffff_ffff,
        get: (view, index) => view.getUint32(index * 4),
        set: (view, index, value) => view.setUint32(index * 4, value),
      };
    case 64:
      return {
        max: Number.MAX_SAFE_INTEGER,
        get: (view, index) => view.getUint32(index * 8) * TWO_32 + view.getUint32(index * 8 + 4),
        set: (view, index, value) => {
          view.setUint32(index * 8, Math.floor(value / TWO_32));
          view.setUint32(index * 8 + 4, value % TWO_32);
        },
      };
    default:
      return narrow(bits);
  }
}

/** Widths of 1, 2 and 4 bits. */
function narrow(bits: number): RefcountWidth {
  const perByte = 8 / bits;
  const max = 2 ** bits - 1;
  const shiftOf = (index: number) => (index % perByte) * bits;
  return {
    max,
    get: (view, index) => (view.getUint8(Math.floor(index / perByte)) >>> shiftOf(index)) & max,
    set: (view, index, value) => {
      const at = Math.floor(index / perByte);
      const shift = shiftOf(index);
      view.setUint8(at, (view.getUint8(at) & ~(max << shift)) | (value << shift));
    },
  };
}
