import { KIB, MIB } from './bytes.js';
import type { Format, Options } from './qemu.js';

/** One kind of image to test. */
export interface ImageSpec {
  /** For names of tests. */
  readonly name: string;
  readonly format: Format;
  /** Create options, the same for qemu-img and here. */
  readonly options: Options;
  /** Bytes; 1 for raw. */
  readonly clusterSize: number;
}

export const RAW: ImageSpec = { name: 'raw', format: 'raw', options: {}, clusterSize: 1 };

/** A qcow2 image of version 2 or 3. */
export function qcow2(version: 2 | 3, clusterSize: number): ImageSpec {
  return {
    name: `qcow2 v${version}, clusters ${sizeText(clusterSize)}`,
    format: 'qcow2',
    options: { compat: version === 2 ? '0.10' : '1.1', cluster_size: clusterSize },
    clusterSize,
  };
}

/** A qcow2 image with subclusters. */
export function extendedL2(clusterSize: number): ImageSpec {
  return {
    name: `qcow2 extended L2, clusters ${sizeText(clusterSize)}`,
    format: 'qcow2',
    options: { compat: '1.1', cluster_size: clusterSize, extended_l2: true },
    clusterSize,
  };
}

/** A QED image. */
export function qed(clusterSize: number, tableSize: number): ImageSpec {
  return {
    name: `qed, clusters ${sizeText(clusterSize)}, tables ${tableSize}`,
    format: 'qed',
    options: { cluster_size: clusterSize, table_size: tableSize },
    clusterSize,
  };
}

/**
 * Whether QEMU 7.2 can open images like this. It takes no QED image with a table size of 1 (its test for
 * an overflow of the table's end refuses them, though qemu-img makes them), and none whose tables could
 * describe 2^64 bytes or more (the product overflows). Other sides of such images are checked by
 * `qed-reader.ts`.
 */
export function qemuOpens(spec: ImageSpec): boolean {
  return spec.format !== 'qed' || (tableSize(spec) > 1 && !overflows(spec));
}

/** Whether qemu-img 7.2 can make images like this. */
export function qemuMakes(spec: ImageSpec): boolean {
  return spec.format !== 'qed' || !overflows(spec);
}

function overflows(spec: ImageSpec): boolean {
  const entries = (spec.clusterSize * tableSize(spec)) / 8;
  return entries * entries * spec.clusterSize >= 2 ** 64;
}

function tableSize(spec: ImageSpec): number {
  return Number(spec.options.table_size);
}

function sizeText(bytes: number): string {
  return bytes >= MIB ? `${bytes / MIB}M` : bytes >= KIB ? `${bytes / KIB}k` : String(bytes);
}
