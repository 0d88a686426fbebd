import { type Disk, LamellaError } from 'lamella';
import { type Fill, inPieces } from './transfer.js';

/**
 * Writes compressed clusters where nothing is stored yet; QEMU takes no others.
 *
 * @throws LamellaError `UNSUPPORTED` by formats without, `IO_ERROR` where something is stored, and as `Disk.writeCompressed`
 */
export async function writeCompressed(
  disk: Disk,
  { offset, length }: { readonly offset: number; readonly length: number },
  fill: Fill,
  zeroes: boolean,
): Promise<void> {
  const [{ image }] = disk.openLayers;
  if (image.compressor === undefined) {
    throw new LamellaError('UNSUPPORTED', 'the format has no compressed clusters', {
      location: disk.location,
    });
  }
  for await (const extent of disk.extents({ offset, length })) {
    if (extent.layer === 0 && (extent.kind === 'data' || extent.kind === 'compressed')) {
      throw new LamellaError('IO_ERROR', 'the cluster is in use already', {
        location: disk.location,
        offset: extent.offset,
      });
    }
  }
  await inPieces(length, (start, size) =>
    disk.writeCompressed(zeroes ? Buffer.alloc(size) : fill.bytes(start, size), offset + start),
  );
}
