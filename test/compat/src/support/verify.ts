import type { Disk } from 'lamella';
import type { Test } from 'tap';
import { firstDifference } from './bytes.js';
import { type ImageSpec, qemuOpens } from './image-spec.js';
import { readQed } from './qed-reader.js';
import { faults, qemuCheck, qemuRead } from './qemu.js';

/** Bytes of one read: no divisor of any cluster size, so that reads cross clusters everywhere. */
const STEP = 777_216 + 512;

/** A stretch of a disk. */
export async function readAt(disk: Disk, offset: number, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  await disk.read(buffer, offset);
  return buffer;
}

/** The whole disk, in reads that are under way together. */
export async function readAll(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size).fill(0xee);
  const reads: Promise<void>[] = [];
  for (let at = 0; at < bytes.length; at += STEP) {
    reads.push(disk.read(bytes.subarray(at, at + STEP), at));
  }
  await Promise.all(reads);
  return bytes;
}

/** The disk as somebody else reads it: QEMU, or a reader after the specification where QEMU refuses. */
export async function foreignRead(
  spec: ImageSpec,
  path: string,
  backing?: Uint8Array,
): Promise<Uint8Array> {
  return qemuOpens(spec) ? qemuRead(path, spec.format) : (await readQed(path, backing)).bytes;
}

/** What somebody else finds wrong with an image: errors and leaks. */
export async function foreignFaults(spec: ImageSpec, path: string): Promise<string | undefined> {
  if (spec.format === 'raw') {
    return undefined;
  }
  return faults(
    qemuOpens(spec) ? await qemuCheck(path, spec.format) : (await readQed(path)).report,
  );
}

/** Asserts that two disks hold the same bytes; says where they do not. */
export function assertSame(t: Test, found: Uint8Array, wanted: Uint8Array, message: string): void {
  const difference = firstDifference(found, wanted);
  if (difference === undefined) {
    t.pass(message);
  } else {
    t.fail(`${message}: ${difference}`);
  }
}
