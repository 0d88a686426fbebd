import { type CreateOptions, Disk, type OptionValue, type Storage } from '@lamella/core';
import { QedDriver, type QedImage } from '@lamella/driver-qed';
import { LastingStorage } from '@lamella/driver-testkit';

export const KIB = 1024;
export const MIB = 1024 * KIB;

export const driver = new QedDriver();

/** Create options with small clusters unless told otherwise. */
export function creation(
  size: number,
  options: Record<string, OptionValue> = {},
  backing?: CreateOptions['backing'],
): CreateOptions {
  return { size, backing, options: { cluster_size: 4096, table_size: 1, ...options } };
}

export async function create(
  storage: Storage,
  size: number,
  options: Record<string, OptionValue> = {},
): Promise<void> {
  await driver.create(storage, creation(size, options));
}

export function openWritable(storage: Storage): Promise<QedImage> {
  return driver.open(storage, { writable: true });
}

export function openReadOnly(storage: Storage): Promise<QedImage> {
  return driver.open(storage, { writable: false });
}

/** A disk of one layer, whose close leaves the storage open. */
export async function openDisk(storage: Storage, writable = true): Promise<Disk> {
  const image = await driver.open(storage, { writable });
  return new Disk([{ format: 'qed', storage: new LastingStorage(storage), image, writable }]);
}

export function pattern(seed: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + (i >>> 8)) % 255 || 1);
}

export async function readAll(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  return bytes;
}

export async function bytesOf(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.size);
  await storage.read(bytes, 0);
  return bytes;
}

/** What an image looks like to somebody who knows nothing but the specification. */
export interface Inspection {
  readonly needCheck: boolean;
  readonly problems: readonly string[];
  readonly leaks: number;
  readonly clusters: number;
}

/** Reads the tables of a (small) image without any code of the driver. */
export async function inspect(storage: Storage): Promise<Inspection> {
  const bytes = await bytesOf(storage);
  const view = new DataView(bytes.buffer);
  const clusterSize = view.getUint32(4, true);
  const tableBytes = view.getUint32(8, true) * clusterSize;
  const problems: string[] = [];
  const owners = new Map<number, string>();
  const entry = (at: number) =>
    view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
  const own = (offset: number, length: number, owner: string): boolean => {
    if (offset % clusterSize !== 0 || offset + length > bytes.length) {
      problems.push(`${owner} points to ${offset} in a file of ${bytes.length}`);
      return false;
    }
    for (let cluster = offset; cluster < offset + length; cluster += clusterSize) {
      const other = owners.get(cluster);
      if (other !== undefined) {
        problems.push(`${owner} shares cluster ${cluster} with ${other}`);
        return false;
      }
      owners.set(cluster, owner);
    }
    return true;
  };
  own(0, view.getUint32(12, true) * clusterSize, 'header');
  const l1 = entry(40);
  own(l1, tableBytes, 'L1');
  for (let i = 0; i < tableBytes / 8; i += 1) {
    const table = entry(l1 + i * 8);
    if (table !== 0 && own(table, tableBytes, `L2 ${i}`)) {
      for (let j = 0; j < tableBytes / 8; j += 1) {
        const data = entry(table + j * 8);
        if (data > 1) {
          own(data, clusterSize, `data ${i}/${j}`);
        }
      }
    }
  }
  const clusters = Math.ceil(bytes.length / clusterSize);
  return {
    needCheck: (view.getUint32(16, true) & 2) !== 0,
    problems,
    leaks: clusters - owners.size,
    clusters,
  };
}

/** Compares long arrays quickly. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** A fixed sequence of numbers in [0, 1). */
export function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
