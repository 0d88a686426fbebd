import type { Lamella } from 'lamella';
import { pattern, randoms } from './files.js';

export const MIB = 1024 * 1024;

/** A format and create options with small units, so that small disks have many of them. */
export interface Kind {
  readonly name: string;
  readonly format: string;
  readonly options: Readonly<Record<string, string | number>>;
}

export const RAW: Kind = { name: 'raw', format: 'raw', options: {} };
export const QED: Kind = {
  name: 'qed',
  format: 'qed',
  options: { cluster_size: 4096, table_size: 2 },
};
export const LARGE_QED: Kind = {
  name: 'qed with 4 MiB clusters',
  format: 'qed',
  options: { cluster_size: 4 * MIB, table_size: 2 },
};
export const QCOW2: Kind = { name: 'qcow2', format: 'qcow2', options: { cluster_size: 4096 } };
export const QCOW2_V2: Kind = {
  name: 'qcow2 0.10',
  format: 'qcow2',
  options: { cluster_size: 65536, compat: '0.10' },
};
export const QCOW2_EXTENDED: Kind = {
  name: 'qcow2 with subclusters',
  format: 'qcow2',
  options: { cluster_size: 65536, extended_l2: 'on' },
};

/** Makes an image; `backing` is the name of a file beside it and its format. */
export async function make(
  lamella: Lamella,
  path: string,
  kind: Kind,
  size: number,
  backing?: { readonly location: string; readonly format: string },
): Promise<void> {
  const { format, options } = kind;
  await lamella.create(path, { format, size, options, backing, overwrite: true });
}

/** Writes and zeroes here and there, the same for the same seed. */
export async function scribble(
  lamella: Lamella,
  path: string,
  format: string,
  seed: number,
  count = 30,
): Promise<void> {
  const disk = await lamella.open(path, { format, writable: true });
  const random = randoms(seed);
  for (let i = 0; i < count; i += 1) {
    const offset = Math.floor(random() * disk.size);
    const length = Math.min(disk.size - offset, 1 + Math.floor(random() ** 2 * 300_000));
    await (random() < 0.75
      ? disk.write(pattern(seed * 100 + i, length), offset)
      : disk.writeZeroes(offset, length));
  }
  await disk.close();
}

/** All bytes of a disk. */
export async function contentOf(lamella: Lamella, path: string, format: string): Promise<Buffer> {
  const disk = await lamella.open(path, { format });
  const bytes = Buffer.alloc(disk.size);
  await disk.read(bytes, 0);
  await disk.close();
  return bytes;
}
