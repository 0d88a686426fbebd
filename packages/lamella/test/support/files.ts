import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { Disk } from 'lamella';

/** A little-endian 64-bit number in a file. */
export function getUint64(path: string, offset: number): number {
  const bytes = Buffer.alloc(8);
  const fd = openSync(path, 'r');
  readSync(fd, bytes, 0, 8, offset);
  closeSync(fd);
  return Number(bytes.readBigUInt64LE());
}

/** Changes a little-endian 64-bit number in a file. */
export function setUint64(path: string, offset: number, value: number | bigint): void {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, 8, offset);
  closeSync(fd);
}

/** Bytes that tell where they belong; never 0. */
export function pattern(seed: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 1 + ((seed * 31 + i * 7 + (i >>> 8)) % 255));
}

/** Part of a disk. */
export async function readAt(disk: Disk, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  await disk.read(buffer, offset);
  return buffer;
}

/** A fixed sequence of numbers in [0, 1). */
export function randoms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
