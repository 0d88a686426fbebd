import { Lamella } from 'lamella';
import { MIB } from './bytes.js';
import { type ImageSpec, qcow2, qed, RAW } from './image-spec.js';
import { type Backing, qemuCreate, qemuRead } from './qemu.js';
import { applyByQemu, type Step } from './steps.js';
import type { Temp } from './temp.js';

/** Everything in these tests that happens "here" happens through this. */
export const lamella = new Lamella();

/** Who makes an image. */
export type Maker = 'qemu' | 'here';

/** Makes an image, named alike whoever does it. */
export async function makeImage(
  by: Maker,
  spec: ImageSpec,
  path: string,
  size: number,
  backing?: Backing,
): Promise<void> {
  const { format, options } = spec;
  if (by === 'qemu') {
    await qemuCreate(path, format, size, options, backing);
  } else {
    await lamella.create(path, {
      format,
      size,
      options,
      ...(backing === undefined
        ? {}
        : { backing: { location: backing.path, format: backing.format } }),
    });
  }
}

/** A backing file with content, and that content. */
export interface FilledBacking extends Backing {
  readonly bytes: Uint8Array;
}

/** A backing file made by QEMU, of another format than the overlay's, with data and holes. */
export async function makeBacking(
  temp: Temp,
  overlay: ImageSpec,
  size: number,
): Promise<FilledBacking> {
  const longer = size >= 2 * MIB;
  const other = overlay.format === 'qed' ? qcow2(3, 65536) : qed(65536, 4);
  const spec = longer && overlay.format !== 'qed' ? RAW : other;
  const path = temp.fresh(spec.format);
  await qemuCreate(path, spec.format, size, spec.options);
  const steps: Step[] = [];
  const piece = Math.floor(size / 8 / 512) * 512;
  for (const [i, share] of [0, 1, 3, 4, 7].entries()) {
    const offset = share * piece;
    const length = share === 7 ? size - offset : piece - 512;
    steps.push({ kind: 'write', offset, length, seed: 9000 + i });
  }
  await applyByQemu(temp, path, spec.format, steps);
  return { path, format: spec.format, bytes: await qemuRead(path, spec.format) };
}

/** What a new overlay of a size shows: its backing file's bytes, and zeroes past their end. */
export function initialContent(size: number, backing?: FilledBacking): Uint8Array {
  const bytes = new Uint8Array(size);
  if (backing !== undefined) {
    bytes.set(backing.bytes.subarray(0, size));
  }
  return bytes;
}
