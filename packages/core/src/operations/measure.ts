import type { Disk } from '../chain/index.js';
import {
  type BlockDriver,
  type ByteRange,
  type LongOperation,
  type Measurement,
  type OptionValues,
  parseOptions,
} from '../driver/index.js';
import { readsAsZeroes } from '../engine/index.js';
import { LamellaError } from '../errors/index.js';

/** What image is to be measured. */
export interface MeasureOptions extends LongOperation {
  /** Create options of the new image. */
  readonly options?: OptionValues | undefined;
  /** Whether the new image names a backing file, so that only what the source's top image holds is copied. */
  readonly backed?: boolean | undefined;
}

/**
 * Tells how much space a new image would take. Progress is told in bytes of the source.
 *
 * @param driver - of the new image's format
 * @param source - the disk that it would be a copy of, or the size in bytes of an empty one
 * @throws LamellaError `UNSUPPORTED` when the driver can't measure, `INVALID_ARGUMENT`, `ABORTED`, and what
 * looking at the source throws
 */
export async function measure(
  driver: BlockDriver,
  source: Disk | number,
  options: MeasureOptions = {},
): Promise<Measurement> {
  if (driver.measure === undefined) {
    throw new LamellaError(
      'UNSUPPORTED',
      `images of the format '${driver.format}' can't be measured`,
    );
  }
  const { backed = false } = options;
  const what = `measuring a ${driver.format} image`;
  const common = {
    options: parseOptions(driver.createOptions ?? {}, options.options ?? {}, what),
    backed,
  };
  return typeof source === 'number'
    ? driver.measure({ ...common, size: source, data: nothing() })
    : driver.measure({
        ...common,
        size: source.size,
        data: dataOf(source, backed, options),
        bitmaps: source.openLayers[0].image.bitmaps?.list(),
      });
}

async function* nothing(): AsyncGenerator<never> {}

async function* dataOf(
  disk: Disk,
  topOnly: boolean,
  { signal, onProgress }: LongOperation,
): AsyncGenerator<ByteRange> {
  for await (const extent of disk.extents({ signal })) {
    onProgress?.({ done: extent.offset + extent.length, total: disk.size });
    if (!readsAsZeroes(extent) && (!topOnly || extent.layer === 0)) {
      yield extent;
    }
  }
}
