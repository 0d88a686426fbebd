import {
  alignUp,
  type CreateOptions,
  LamellaError,
  type OptionSchema,
  PLACE_OF_SIZE,
  type Storage,
} from '@lamella/core';
import {
  batEnd,
  encodeHeader,
  MAGICS,
  MAX_CLUSTER_SIZE,
  type ParallelsHeader,
  SECTOR,
} from './header.js';
import { planSize } from './plan-size.js';

/** Create options, named as `qemu-img create -o` names them, and one more. */
export const CREATE_OPTIONS: OptionSchema = {
  ...PLACE_OF_SIZE,
  cluster_size: {
    type: 'size',
    description: 'Parallels image cluster size',
    default: 1024 * 1024,
  },
  magic: {
    type: 'string',
    description: 'Kind of image; WithoutFreeSpace for programs before Parallels Desktop 10',
    choices: MAGICS,
    default: 'WithouFreSpacExt',
  },
};

/**
 * The header of an image to be made.
 *
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`
 */
export function planImage({ size, backing, options }: CreateOptions) {
  const clusterSize = Number(options.cluster_size);
  const magic = MAGICS.find((each) => each === options.magic) ?? 'WithouFreSpacExt';
  const invalid = (problem: string, hint: string) =>
    new LamellaError('INVALID_ARGUMENT', problem, { hint });
  if (!Number.isInteger(size) || size < 0) {
    throw invalid(`a disk can't have ${size} bytes`, 'Give a size of 0 or more whole bytes.');
  }
  if (!(clusterSize >= SECTOR && clusterSize <= MAX_CLUSTER_SIZE) || clusterSize % SECTOR !== 0) {
    throw invalid(
      `a cluster can't have ${clusterSize} bytes`,
      `Give a multiple of ${SECTOR} up to ${MAX_CLUSTER_SIZE}.`,
    );
  }
  if (backing !== undefined) {
    throw invalid('a Parallels image cannot name a backing file', 'Leave the backing file away.');
  }
  const entries = Math.ceil(size / clusterSize);
  const dataStart = alignUp(batEnd(entries), clusterSize);
  const header = { magic, clusterSize, dataStart };
  return { ...header, ...planSize(size, header) } satisfies Partial<ParallelsHeader>;
}

/**
 * Writes an empty image and makes it durable: the header last, so that a half-made file is no image.
 *
 * @throws LamellaError as {@link planImage}, and as `Storage.write`
 */
export async function createImage(storage: Storage, options: CreateOptions): Promise<void> {
  const header = planImage(options);
  await storage.truncate(header.dataStart);
  await storage.write(encodeHeader(header), 0);
  await storage.flush();
}
