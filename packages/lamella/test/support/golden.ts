import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Disk } from 'lamella';

/** Compiled to `build/test/support`: the images stay in the source tree. */
const GOLDEN = fileURLToPath(new URL('../../../test/golden/', import.meta.url));

const SUMS = new Map(
  readFileSync(join(GOLDEN, 'SHA256SUMS'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/))
    .map(([sum = '', name = '']) => [name, sum] as const),
);

/** A copy of a golden image's bytes; the caller may change them. */
export function golden(name: string): Uint8Array {
  return new Uint8Array(gunzipSync(readFileSync(join(GOLDEN, `${name}.gz`))));
}

/** SHA-256 of what QEMU reads from a golden image. */
export function goldenSum(name: string): string {
  const sum = SUMS.get(name);
  if (sum === undefined) {
    throw new Error(`no golden image ${name}`);
  }
  return sum;
}

/** Puts golden images under their names into a folder; returns the path of the first. */
export function place(directory: string, name: string, ...more: readonly string[]): string {
  for (const each of [name, ...more]) {
    writeFileSync(join(directory, each), golden(each));
  }
  return join(directory, name);
}

export async function readAll(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size).fill(0xee);
  await disk.read(bytes, 0);
  return bytes;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** SHA-256 of all that a guest reads. */
export async function diskSum(disk: Disk): Promise<string> {
  return sha256(await readAll(disk));
}
