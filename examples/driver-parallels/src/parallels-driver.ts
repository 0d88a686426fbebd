import {
  type BlockDriver,
  type CreateOptions,
  LamellaError,
  type OpenOptions,
  parseOptions,
  type Storage,
} from '@lamella/core';
import { Bat } from './bat.js';
import { CREATE_OPTIONS, createImage, planImage } from './create.js';
import { FIELD, magicOf, type ParallelsHeader, readHeader } from './header.js';
import { ParallelsImage } from './parallels-image.js';
import { Space } from './space.js';
import { findUsage } from './usage.js';

/** Expanding Parallels images. Register it with `lamella.register(ParallelsDriver)`. */
export class ParallelsDriver implements BlockDriver {
  readonly format = 'parallels';
  readonly createOptions = CREATE_OPTIONS;
  readonly supportsBacking = false;

  probe(head: Uint8Array): number {
    return magicOf(head) === undefined ? 0 : 100;
  }

  /**
   * Opens an image. One that is opened for writing is marked as in use until it is closed; its table of clusters
   * has to be in order, whether or not it was closed the last time.
   *
   * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`, `LIMIT_EXCEEDED`, `CORRUPT`,
   * `INVALID_ARGUMENT` for any open option
   */
  async open(storage: Storage, options: OpenOptions): Promise<ParallelsImage> {
    parseOptions({}, options.options ?? {}, 'opening a Parallels image');
    const header = await readHeader(storage);
    const bat = await Bat.load(storage, header);
    if (!options.writable || options.forCheck === true) {
      return new ParallelsImage({ storage, header, bat, space: undefined });
    }
    const space = spaceFor(storage, header, bat);
    await options.beforeWriting?.({});
    await markInUse(storage, bat);
    return new ParallelsImage({ storage, header, bat, space });
  }

  /**
   * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`
   */
  validateCreate(options: CreateOptions): void {
    planImage(options);
  }

  /**
   * Makes an empty image. The size is rounded up to whole sectors of 512 bytes.
   *
   * @throws LamellaError as {@link ParallelsDriver.validateCreate} and as `Storage.write`
   */
  create(storage: Storage, options: CreateOptions): Promise<void> {
    return createImage(storage, options);
  }
}

/** Finds out what is free. Nothing is written over that may be in use, so all has to be in order. */
function spaceFor(storage: Storage, header: ParallelsHeader, bat: Bat): Space {
  const { location, size } = storage;
  if (header.extended) {
    throw new LamellaError('UNSUPPORTED', 'writing to an image with a format extension', {
      location,
      offset: FIELD.extension,
      hint: 'Open it for reading, or convert it.',
    });
  }
  const { clusters, shared, firstMisplaced } = findUsage(bat, header, size);
  if (firstMisplaced !== undefined) {
    throw new LamellaError(
      'CORRUPT',
      `cluster ${firstMisplaced} of the disk lies where the file has no cluster`,
      { location, offset: bat.entryOffset(firstMisplaced), hint: 'Check and repair the image.' },
    );
  }
  if (shared > 0) {
    throw new LamellaError('CORRUPT', `${shared} clusters of the file are used twice`, {
      location,
      hint: 'Open it for reading, and copy it.',
    });
  }
  return new Space({
    used: clusters,
    fileEnd: Math.ceil((size - header.dataStart) / header.clusterSize),
    last: Math.floor((bat.lastPlace - header.dataStart) / header.clusterSize),
    location,
  });
}

/** Durable before anything else is changed. */
async function markInUse(storage: Storage, bat: Bat): Promise<void> {
  bat.setInUse(true);
  const pages = bat.takeChanges();
  for (const { bytes, offset } of pages) {
    await storage.write(bytes, offset);
  }
  await storage.flush();
}
