import { alignDown, alignUp, type Disk, LamellaError } from 'lamella';
import { type Fill, inPieces } from './transfer.js';

/** A part of the disk, in bytes. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/**
 * Writes compressed clusters where nothing is stored yet; QEMU takes no others, and stores those all the
 * same.
 *
 * @throws LamellaError `UNSUPPORTED` by formats without, `INVALID_ARGUMENT` for parts of clusters, `IO_ERROR` when something was stored in part of the
 * range, and as `Disk.writeCompressed`
 */
export async function writeCompressed(disk: Disk, range: Range, fill: Fill): Promise<void> {
  const [{ image }] = disk.openLayers;
  if (image.compressor === undefined) {
    throw new LamellaError('UNSUPPORTED', 'the format has no compressed clusters', {
      location: disk.location,
    });
  }
  assertWholeClusters(disk, range, image.clusterSize);
  const free = await freeRanges(disk, range, image.clusterSize);
  for (const { offset, length } of free) {
    await inPieces(length, async (start, size) => {
      const bytes = fill.bytes(offset + start - range.offset, size);
      await disk.writeCompressed(bytes, offset + start);
    });
  }
  if (free.reduce((sum, { length }) => sum + length, 0) < range.length) {
    throw new LamellaError('IO_ERROR', 'a cluster is in use already', {
      location: disk.location,
    });
  }
}

/** Before anything is stored: the clusters in use might hide that the rest are not whole. */
function assertWholeClusters(disk: Disk, { offset, length }: Range, unit: number): void {
  const end = offset + length;
  if (offset % unit !== 0 || (end % unit !== 0 && end !== disk.size)) {
    throw new LamellaError('INVALID_ARGUMENT', 'only whole clusters can be compressed', {
      location: disk.location,
    });
  }
}

/** The parts of a range whose clusters the top image does not use. */
async function freeRanges(disk: Disk, range: Range, unit: number): Promise<readonly Range[]> {
  const end = range.offset + range.length;
  const free: Range[] = [];
  let position = range.offset;
  const add = (until: number): void => {
    if (until > position) {
      free.push({ offset: position, length: until - position });
    }
  };
  for await (const { offset, length, layer, kind } of disk.extents(range)) {
    if (layer === 0 && (kind === 'data' || kind === 'compressed')) {
      add(Math.max(alignDown(offset, unit), range.offset));
      position = Math.min(alignUp(offset + length, unit), end);
    }
  }
  add(end);
  return free;
}
