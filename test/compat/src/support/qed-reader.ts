import { open } from 'node:fs/promises';
import type { CheckReport } from './qemu.js';

const SLICE = 64 * 1024;

/** A QED image as somebody sees it who knows nothing but the specification. */
export interface QedContent {
  /** The disk's bytes. */
  readonly bytes: Uint8Array;
  readonly report: CheckReport;
}

/**
 * Reads and checks a QED image without any code of the driver: for those that QEMU 7.2 refuses to open.
 * Tables are looked at in slices whose holes cost little, as a table may have a gigabyte.
 *
 * @param backing - the bytes of the backing file
 */
export async function readQed(
  path: string,
  backing: Uint8Array = new Uint8Array(0),
): Promise<QedContent> {
  await using file = await open(path);
  const { size: fileSize } = await file.stat();
  const read = async (offset: number, length: number): Promise<DataView> => {
    const buffer = new Uint8Array(length);
    await file.read(buffer, 0, length, offset);
    return new DataView(buffer.buffer);
  };
  const header = await read(0, 64);
  const clusterSize = header.getUint32(4, true);
  const tableBytes = header.getUint32(8, true) * clusterSize;
  const headerBytes = header.getUint32(12, true) * clusterSize;
  const bytes = new Uint8Array(entry(header, 48));
  bytes.set(backing.subarray(0, bytes.length));
  const used = new Set<number>();
  let corruptions = 0;
  let allocatedClusters = 0;
  const own = (offset: number, length: number): boolean => {
    if (offset % clusterSize !== 0 || offset + length > fileSize) {
      corruptions += 1;
      return false;
    }
    for (let cluster = offset; cluster < offset + length; cluster += clusterSize) {
      corruptions += used.has(cluster) ? 1 : 0;
      used.add(cluster);
    }
    return true;
  };
  /** Entries that are not zero and that belong to the disk, by number. */
  const entries = async (table: number, needed: number): Promise<Map<number, number>> => {
    const found = new Map<number, number>();
    const end = Math.min(tableBytes, needed * 8);
    for (let position = 0; position < end; position += SLICE) {
      const slice = await read(table + position, Math.min(SLICE, end - position));
      for (let i = 0; i < slice.byteLength; i += 8) {
        if (entry(slice, i) !== 0) {
          found.set((position + i) / 8, entry(slice, i));
        }
      }
    }
    return found;
  };
  own(0, headerBytes);
  const l1 = entry(header, 40);
  own(l1, tableBytes);
  const perTable = tableBytes / 8;
  const clusters = Math.ceil(bytes.length / clusterSize);
  for (const [i, table] of await entries(l1, Math.ceil(clusters / perTable))) {
    if (!own(table, tableBytes)) {
      continue;
    }
    for (const [j, data] of await entries(table, Math.min(perTable, clusters - i * perTable))) {
      const at = (i * perTable + j) * clusterSize;
      const length = Math.min(clusterSize, bytes.length - at);
      if (data === 1) {
        bytes.fill(0, at, at + length);
      } else if (own(data, clusterSize)) {
        allocatedClusters += 1;
        const content = await read(data, length);
        bytes.set(new Uint8Array(content.buffer), at);
      }
    }
  }
  const leaks = Math.floor(fileSize / clusterSize) - used.size;
  return { bytes, report: { corruptions, leaks, checkErrors: 0, allocatedClusters } };
}

function entry(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}
