import {
  type ChainResolver,
  closeLayers,
  Disk,
  type ImageName,
  type OpenChain,
} from '../chain/index.js';
import type { LongOperation, Reference } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import { type ChangedImageOptions, changedImage } from './changed-image.js';
import { copyDifferences } from './differences.js';

/** How an image gets another backing file. */
export interface RebaseOptions extends LongOperation, ChangedImageOptions {
  /**
   * The new backing file: the text is stored as given, and means a path relative to the image. None if
   * undefined: the image then holds all of its disk itself.
   */
  readonly backing: string | Reference | undefined;
  /**
   * Only change the name, whether or not the new file holds the same: for a file that was moved. Nothing
   * but the image itself is opened.
   */
  readonly unsafe?: boolean | undefined;
  /**
   * Store what is copied into the image compressed: whole clusters, except those that hold bytes of the
   * image already. False by default.
   */
  readonly compress?: boolean | undefined;
}

/** What a rebase has done. */
export interface RebaseResult {
  /** Bytes written to the image because the new backing file does not hold them. */
  readonly copied: number;
}

/**
 * Puts an image onto another backing file. Its disk reads the same before, during and after, whenever
 * the machine stops: what differs between the old and the new backing file is durable in the image
 * before its header names the new one. Progress is told in bytes of the guest's disk.
 *
 * @param location - of the image to change
 * @throws LamellaError `UNSUPPORTED` for a format without backing files, or without compression if that
 * is wanted; `REFERENCE_DENIED`,
 * `CHAIN_LOOP`, `LIMIT_EXCEEDED` (no room for the name), `ABORTED`, and what opening, reading and writing
 * throws
 */
export async function rebase(
  resolver: ChainResolver,
  location: string | ImageName,
  options: RebaseOptions,
): Promise<RebaseResult> {
  const { unsafe = false } = options;
  const named =
    typeof options.backing === 'string' ? { location: options.backing } : options.backing;
  const old = await resolver.open(location, { ...changedImage(options), topOnly: unsafe });
  try {
    const [top] = old.layers;
    const { setBacking } = top.image;
    if (setBacking === undefined) {
      throw new LamellaError(
        'UNSUPPORTED',
        `${top.format} images can't change their backing file`,
        {
          location: top.storage.location,
          hint: 'Convert the image to a format that can, such as qcow2.',
        },
      );
    }
    if (options.compress === true && top.image.compressor === undefined) {
      throw new LamellaError('UNSUPPORTED', 'this image cannot hold compressed clusters', {
        location: top.storage.location,
        hint: 'Leave out compress.',
      });
    }
    if (unsafe) {
      await setBacking.call(top.image, named);
      return { copied: 0 };
    }
    const { copied, backing } = await makeIndependent(resolver, old, named, options);
    await setBacking.call(top.image, backing);
    return { copied };
  } finally {
    await closeLayers(old.layers);
  }
}

/** Makes the image hold all that the new backing file does not; durable when it resolves. */
async function makeIndependent(
  resolver: ChainResolver,
  old: OpenChain,
  named: Reference | undefined,
  options: RebaseOptions,
): Promise<{ readonly copied: number; readonly backing: Reference | undefined }> {
  const [top, ...below] = old.layers;
  if (old.missing !== undefined) {
    throw new LamellaError('REFERENCE_DENIED', 'its present backing file was left out', {
      location: top.storage.location,
      hint: 'Allow it in `references`, or rebase with unsafe: true if the new file holds the same.',
    });
  }
  const disk = new Disk([top], below);
  if (named === undefined) {
    const copied = await copyDifferences(disk, top.image, undefined, options);
    await disk.flush();
    return { copied, backing: undefined };
  }
  const name = resolver.resolveReference(named, top.storage.location);
  const { references, maxDepth, cacheSize, dataFilesBeside } = options;
  const newChain = {
    format: name.format,
    options: name.options,
    dataFile: name.dataFile,
    references,
    maxDepth,
    cacheSize,
    dataFilesBeside,
    passphrases: options.passphrases,
  };
  // With the image beside it, a new chain that leads back to the image is a loop.
  const chain = await resolver.open(name, newChain, [top]);
  try {
    const target = new Disk(chain.layers, [], chain.missing);
    const copied = await copyDifferences(disk, top.image, target, options);
    await disk.flush();
    const [{ format }] = chain.layers;
    return { copied, backing: { location: named.location, format: named.format ?? format } };
  } finally {
    await closeLayers(chain.layers);
  }
}
