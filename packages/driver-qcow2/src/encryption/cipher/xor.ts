import { viewOf } from '@lamella/core';

/** Bytes of the words that the fast path works on. */
const WORD = 8;

/**
 * Sets `target` to `left` XOR `right`, in 64-bit words where the memory is aligned for them: V8 keeps these
 * in registers, and two words of 32 bits cost twice as much as one of 64.
 *
 * @param target - a multiple of 4 bytes; may be one of the others
 * @param left - as long as `target`, or longer
 * @param right - as long as `target`, or longer
 */
export function xorInto(target: Uint8Array, left: Uint8Array, right: Uint8Array): void {
  const { length } = target;
  if (length % WORD === 0 && isAligned(target) && isAligned(left) && isAligned(right)) {
    xorWords(words(target, length), words(left, length), words(right, length));
  } else {
    xorUnaligned(viewOf(target), viewOf(left), viewOf(right));
  }
}

function isAligned({ byteOffset }: Uint8Array): boolean {
  return byteOffset % WORD === 0;
}

function words({ buffer, byteOffset }: Uint8Array, length: number): BigUint64Array {
  return new BigUint64Array(buffer, byteOffset, length / WORD);
}

function xorWords(target: BigUint64Array, left: BigUint64Array, right: BigUint64Array): void {
  const { length } = target;
  for (let i = 0; i < length; i += 1) {
    target[i] = (left[i] ?? 0n) ^ (right[i] ?? 0n);
  }
}

function xorUnaligned(target: DataView, left: DataView, right: DataView): void {
  const { byteLength } = target;
  for (let at = 0; at < byteLength; at += 4) {
    target.setInt32(at, left.getInt32(at, true) ^ right.getInt32(at, true), true);
  }
}
