import type { Awaitable } from '../bytes/index.js';
import {
  type Extent,
  type Image,
  type OptionValue,
  type References,
  type SnapshotKey,
} from '../driver/index.js';
import { LamellaError } from '../errors/index.js';

/**
 * Puts the state that a snapshot keeps in the place of an image that was just opened.
 *
 * @param location - the image, for messages
 * @throws LamellaError `UNSUPPORTED`, `NOT_FOUND`, `INVALID_ARGUMENT` for a name that several have,
 * `CORRUPT`, `IO_ERROR`; the image is closed then
 */
export async function openAsOf(image: Image, key: SnapshotKey, location: string): Promise<Image> {
  try {
    if (image.snapshots === undefined) {
      throw new LamellaError('UNSUPPORTED', 'images of this format have no snapshots', {
        location,
        hint: 'Open it without a snapshot.',
      });
    }
    return new ImageAsOf(await image.snapshots.open(key), image);
  } catch (error) {
    await image.close().catch(() => undefined);
    throw error;
  }
}

/** An image as of one of its snapshots, which closes the image itself, too. */
class ImageAsOf implements Image {
  readonly #then: Image;
  readonly #now: Image;

  constructor(then: Image, now: Image) {
    this.#then = then;
    this.#now = now;
  }

  get size(): number {
    return this.#then.size;
  }

  get clusterSize(): number {
    return this.#then.clusterSize;
  }

  get references(): References {
    return this.#then.references;
  }

  get options(): Readonly<Record<string, OptionValue>> {
    return this.#then.options;
  }

  map(offset: number, length: number): Awaitable<Extent> {
    return this.#then.map(offset, length);
  }

  async close(): Promise<void> {
    await this.#then.close();
    await this.#now.close();
  }
}
