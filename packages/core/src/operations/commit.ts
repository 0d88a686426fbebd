import {
  type ChainResolver,
  closeLayers,
  Disk,
  type ImageName,
  type Layer,
} from '../chain/index.js';
import type { LongOperation } from '../driver/index.js';
import { LamellaError, throwIfAborted } from '../errors/index.js';
import { type ChangedImageOptions, changedImage } from './changed-image.js';
import { forEachStep } from './copy-range.js';

/** How an overlay is committed. */
export interface CommitOptions extends LongOperation, ChangedImageOptions {
  /** Leave the overlay's data where it is; by default the overlay is emptied. */
  readonly keep?: boolean | undefined;
  /**
   * How many layers down the image is that takes the data; 1 by default, the backing image. With more,
   * everything between is written into it too, the overlay is kept, and the images between show something
   * else afterwards.
   */
  readonly depth?: number | undefined;
  /** Awaited before each step, with its bytes: holds the operation back to a rate. */
  readonly pace?: ((bytes: number) => Promise<void>) | undefined;
}

/** What a commit has done. */
export interface CommitResult {
  /** Bytes of data that were copied into the backing image. */
  readonly copied: number;
  /** Bytes that were made zero in the backing image. */
  readonly zeroed: number;
  /**
   * Whether the overlay holds nothing any more. False as well when its format can't be emptied; its data
   * is then what the backing image holds, too.
   */
  readonly emptied: boolean;
}

/**
 * Writes what the top image holds into its backing image, which grows if the top image is larger, and
 * empties the top image. Both read the same before, during and after, whenever the machine stops: the
 * overlay is emptied only once its data is durable below. Other overlays of the same backing image are
 * ruined, as with `qemu-img commit`. Progress is told in bytes of the guest's disk.
 *
 * @param location - of the overlay
 * @throws LamellaError `INVALID_ARGUMENT` for an image without backing file, `REFERENCE_DENIED` when the
 * policy leaves it out, `UNSUPPORTED` when the backing image can't be written or grown, `ABORTED`, and
 * what opening, reading and writing throws
 */
export async function commit(
  resolver: ChainResolver,
  location: string | ImageName,
  options: CommitOptions = {},
): Promise<CommitResult> {
  const { depth = 1 } = options;
  const { layers, missing } = await resolver.open(location, {
    ...changedImage(options),
    writableLayers: depth + 1,
  });
  try {
    const [top] = layers;
    const base = layers[depth];
    const below = layers.slice(depth + 1);
    if (base === undefined || depth < 1) {
      throw noBacking(top, missing !== undefined);
    }
    // What the top image does not hold itself is never looked at: it may be changing.
    const nothingBelow = { namedBy: top.storage.location, reference: base.storage.location };
    const source = new Disk([top, ...layers.slice(1, depth)], [], nothingBelow);
    const target = new Disk([base], below, missing);
    const result = await copyDown(source, target, options);
    await target.flush();
    const { makeEmpty } = top.image;
    const emptied = options.keep !== true && depth === 1 && makeEmpty !== undefined;
    if (emptied) {
      throwIfAborted(options.signal, top.storage.location);
      await makeEmpty.call(top.image);
    }
    return { ...result, emptied };
  } finally {
    await closeLayers(layers);
  }
}

async function copyDown(
  source: Disk,
  target: Disk,
  { signal, onProgress, pace }: CommitOptions,
): Promise<Pick<CommitResult, 'copied' | 'zeroed'>> {
  if (!target.isWritable) {
    throw new LamellaError(
      'UNSUPPORTED',
      `images of the format '${target.format}' can't be written`,
      {
        location: target.location,
      },
    );
  }
  if (source.size > target.size) {
    await target.resize(source.size);
  }
  const total = source.size;
  let copied = 0;
  let zeroed = 0;
  for await (const { kind, offset, length, layer } of source.extents({ signal })) {
    if (layer !== undefined && kind === 'zero') {
      await target.writeZeroes(offset, length);
      zeroed += length;
    } else if (layer !== undefined) {
      await forEachStep(source, offset, length, signal, async (buffer, position) => {
        await pace?.(buffer.length);
        await source.read(buffer, position);
        await target.write(buffer, position);
        copied += buffer.length;
        onProgress?.({ done: position + buffer.length, total });
      });
    }
    onProgress?.({ done: offset + length, total });
  }
  return { copied, zeroed };
}

function noBacking(top: Layer, leftOut: boolean): LamellaError {
  const { location } = top.storage;
  return leftOut
    ? new LamellaError(
        'REFERENCE_DENIED',
        'its backing file was left out by the reference policy',
        {
          location,
          hint: "Allow it in `references`: 'follow' or { within: [...] }.",
        },
      )
    : new LamellaError('INVALID_ARGUMENT', 'the image has no backing file to commit to', {
        location,
        hint: 'Give an image that has one.',
      });
}
