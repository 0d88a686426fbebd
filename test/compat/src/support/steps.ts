import { writeFile } from 'node:fs/promises';
import type { Disk } from 'lamella';
import { pattern } from './bytes.js';
import { type Format, qemuIo } from './qemu.js';
import type { Temp } from './temp.js';

/** A change of a disk that can be made by QEMU, here, and on a plain buffer. */
export interface Step {
  /** `zero` keeps the space, `zero-unmap` gives it back. */
  readonly kind: 'write' | 'zero' | 'zero-unmap' | 'discard';
  readonly offset: number;
  readonly length: number;
  /** Whose pattern a write writes. */
  readonly seed: number;
}

/**
 * Changes all over a disk: inside a cluster, across one, whole ones, the last bytes, and zeroing and
 * discarding of what was written, what was not, and half of each.
 *
 * @param unit - cluster size
 * @param seed - makes another set
 */
export function scatteredSteps(size: number, unit: number, seed: number): readonly Step[] {
  const cluster = Math.max(unit, 4096);
  const clusters = Math.max(1, Math.floor(size / cluster));
  const at = (share: number): number => Math.floor(clusters * share) * cluster;
  const sector = 512;
  const wanted: readonly (readonly [Step['kind'], number, number])[] = [
    ['write', at(0.1) + sector * (1 + (seed % 3)), sector * 3],
    ['write', at(0.3) - sector, sector * 2],
    ['write', at(0.5), cluster * 2],
    ['write', at(0.8) + sector, cluster + sector],
    ['write', size - sector * 3, sector * 3],
    ['zero', at(0.5) + sector, sector],
    ['zero', at(0.2), cluster],
    ['zero-unmap', at(0.5) + cluster, cluster],
    ['zero-unmap', at(0.65) + sector, cluster + sector * 2],
    ['discard', at(0.8), cluster],
    ['discard', at(0.05), cluster],
    ['write', at(0.2) + sector, sector],
    ['write', at(0.65) + sector * 2, sector],
  ];
  return wanted.map(([kind, offset, length], i) => {
    const start = Math.max(0, Math.min(offset, size - sector));
    return { kind, offset: start, length: Math.min(length, size - start), seed: seed * 100 + i };
  });
}

/** Only those whose result is defined, byte for byte. */
export function definedSteps(steps: readonly Step[]): readonly Step[] {
  return steps.filter(({ kind }) => kind !== 'discard');
}

/** Makes the changes by qemu-io. */
export async function applyByQemu(
  temp: Temp,
  path: string,
  format: Format,
  steps: readonly Step[],
): Promise<void> {
  const files: string[] = [];
  const commands: string[] = [];
  for (const { kind, offset, length, seed } of steps) {
    if (kind === 'write') {
      const file = temp.fresh('pattern');
      await writeFile(file, pattern(seed, offset, length));
      files.push(file);
      commands.push(`write -s ${file} ${offset} ${length}`);
    } else {
      const command = { zero: 'write -z', 'zero-unmap': 'write -z -u', discard: 'discard' }[kind];
      commands.push(`${command} ${offset} ${length}`);
    }
  }
  await qemuIo(path, format, commands);
  temp.remove(...files);
}

/** Makes the changes here, each after the other. */
export async function applyHere(disk: Disk, steps: readonly Step[]): Promise<void> {
  for (const { kind, offset, length, seed } of steps) {
    if (kind === 'write') {
      await disk.write(pattern(seed, offset, length), offset);
    } else if (kind === 'discard') {
      await disk.discard(offset, length);
    } else {
      await disk.writeZeroes(offset, length, { unmap: kind === 'zero-unmap' });
    }
  }
}

/** Makes the changes on a plain buffer. Discards are left out: their result is not defined. */
export function applyToBuffer(buffer: Uint8Array, steps: readonly Step[]): void {
  for (const { kind, offset, length, seed } of definedSteps(steps)) {
    if (kind === 'write') {
      buffer.set(pattern(seed, offset, length), offset);
    } else {
      buffer.fill(0, offset, offset + length);
    }
  }
}
