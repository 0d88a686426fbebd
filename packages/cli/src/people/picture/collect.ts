import { Disk, type DiskExtent, type Layer, type Progress } from 'lamella';
import { type ColumnScale, Columns, type NotedExtent } from './columns.js';
import { kindOf } from './extent-kind.js';
import type { Picture, PictureLayer } from './picture.js';

/** Columns of a picture with few layers, and least and most cells of all rows together. */
const [MOST_COLUMNS, FEWEST_COLUMNS, MOST_CELLS] = [480, 120, 8160];
/** Columns are not cut smaller than sectors. */
const SECTOR = 512;

/** What to draw. */
export interface PictureRequest {
  readonly title: string;
  /** The chain; it stays open. */
  readonly disk: Disk;
  /** First byte of the disk, and bytes. */
  readonly offset: number;
  readonly length: number;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/**
 * Goes through a disk and through each of its layers, and notes where data are.
 *
 * @throws LamellaError `ABORTED`, and what the drivers throw
 */
export async function collectPicture(request: PictureRequest): Promise<Picture> {
  const { disk, offset, length, title } = request;
  const { openLayers } = disk;
  const scale = { offset, length, columns: columnsFor(length, openLayers.length) };
  const walk = new Walk(request, openLayers.length + 1);
  const visible = new Columns(scale, openLayers.length + 1);
  await walk.over(disk, scale, visible, undefined);
  const layers: PictureLayer[] = [];
  for (const [number, layer] of openLayers.entries()) {
    const own = new Columns(scale, 1);
    await walk.over(new Disk([layer]), scale, own, number);
    layers.push(await describe(layer, number, own));
  }
  return {
    title,
    size: disk.size,
    scale,
    visible,
    layers,
    missing: disk.missingBacking?.reference,
  };
}

/** As many columns as the picture is to have; fewer for deep chains, so that it stays small. */
function columnsFor(length: number, layers: number): number {
  const wanted = Math.min(MOST_COLUMNS, Math.floor(MOST_CELLS / (layers + 1)));
  // These divide the width of a picture.
  const even = [480, 320, 240, 160, 120].find((count) => count <= wanted) ?? FEWEST_COLUMNS;
  return Math.max(1, Math.min(even, Math.ceil(length / SECTOR)));
}

/** One walk after the other, with one progress for all. */
class Walk {
  readonly #request: PictureRequest;
  readonly #walks: number;
  #done = 0;

  constructor(request: PictureRequest, walks: number) {
    this.#request = request;
    this.#walks = walks;
  }

  /** @param layer - that all extents belong to; as the disk says if undefined */
  async over(
    disk: Disk,
    { offset, length }: ColumnScale,
    columns: Columns,
    layer: number | undefined,
  ): Promise<void> {
    const { signal, onProgress } = this.#request;
    const total = this.#walks * length;
    const end = Math.min(disk.size, offset + length);
    if (end > offset) {
      for await (const extent of disk.extents({ offset, length: end - offset, signal })) {
        const noted = note(extent, layer);
        if (noted !== undefined) {
          columns.add(noted);
        }
        onProgress({ done: this.#done + extent.offset + extent.length - offset, total });
      }
    }
    this.#done += length;
    onProgress({ done: this.#done, total });
  }
}

function note(extent: DiskExtent, layer: number | undefined): NotedExtent | undefined {
  const kind = kindOf(extent);
  const { offset, length, hostOffset } = extent;
  return kind === undefined
    ? undefined
    : { offset, length, kind, layer: layer ?? extent.layer, hostOffset };
}

async function describe(layer: Layer, number: number, own: Columns): Promise<PictureLayer> {
  const { storage, dataFile, format, image } = layer;
  const allocated = await storage.allocatedSize?.();
  const ofData = await dataFile?.allocatedSize?.();
  return {
    number,
    location: storage.location,
    dataFile: dataFile?.location,
    format,
    size: image.size,
    allocated: allocated === undefined ? undefined : allocated + (ofData ?? 0),
    own,
  };
}
