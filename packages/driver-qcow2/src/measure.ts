import {
  alignUp,
  type CryptoPlatform,
  type Measurement,
  type MeasureRequest,
  type OptionValues,
} from '@lamella/core';
import { planLayout } from './create/layout.js';
import { DATA_FILE_OPTIONS } from './data-file/options.js';

/** Bytes of a bitmap directory entry without the name (specification: "Bitmap directory"). */
const BITMAP_ENTRY = 24;
/** Stands for the one that nobody has to know to measure. */
const SOME_PASSPHRASE = 'measured';

/**
 * Bytes of a new image's file, as `qemu-img measure` counts them: all metadata that the disk can come to need,
 * and for each cluster with data the cluster.
 *
 * @throws LamellaError as `planLayout`
 */
export async function measureImage(
  request: MeasureRequest,
  crypto: CryptoPlatform | undefined,
): Promise<Measurement> {
  const { size, options, data, backed } = request;
  const wanted = options.preallocation;
  const encrypted = options['encrypt.format'] !== undefined || options.encryption === true;
  const layout = planLayout(
    {
      size,
      options: { ...inOneFile(options), preallocation: 'metadata' },
      passphrase: encrypted ? SOME_PASSPHRASE : undefined,
    },
    crypto,
    'measure',
  );
  const clusterSize = 2 ** layout.header.clusterBits;
  const fullyAllocated = layout.clusters * clusterSize;
  const metadata = layout.clusters - layout.area.dataClusters;
  const whole = data === undefined || backed === true || wanted === 'falloc' || wanted === 'full';
  const used = whole
    ? layout.area.dataClusters
    : await countClusters(data, layout.header.size, clusterSize);
  const bitmaps =
    layout.header.version === 3 ? bitmapBytes(request, layout.header.size, clusterSize) : undefined;
  return {
    required: (metadata + used) * clusterSize,
    fullyAllocated,
    ...(bitmaps === undefined ? {} : { bitmaps }),
  };
}

/** Options without the external data file: its clusters count as the image's, as qemu-img has it. */
function inOneFile(options: OptionValues): OptionValues {
  return Object.fromEntries(
    Object.entries(options).filter(([name]) => !(name in DATA_FILE_OPTIONS)),
  );
}

/** Distinct clusters that runs touch, which come in order. */
async function countClusters(
  runs: NonNullable<MeasureRequest['data']>,
  size: number,
  clusterSize: number,
): Promise<number> {
  let count = 0;
  let next = 0;
  for await (const { offset, length } of runs) {
    const end = Math.ceil(Math.min(offset + length, size) / clusterSize);
    const first = Math.max(next, Math.floor(offset / clusterSize));
    if (length > 0 && end > first) {
      count += end - first;
      next = end;
    }
  }
  return count;
}

/** Bytes for every bitmap's table and data, with all of it in use, and for the directory. */
function bitmapBytes(
  { bitmaps }: MeasureRequest,
  size: number,
  clusterSize: number,
): number | undefined {
  if (bitmaps === undefined) {
    return undefined;
  }
  let directory = 0;
  let clusters = 0;
  for (const { name, granularity } of bitmaps) {
    const data = Math.ceil(Math.ceil(size / granularity) / 8 / clusterSize);
    clusters += data + Math.ceil((data * 8) / clusterSize);
    directory += alignUp(BITMAP_ENTRY + new TextEncoder().encode(name).length, 8);
  }
  return (clusters + Math.ceil(directory / clusterSize)) * clusterSize;
}
