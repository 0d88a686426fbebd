import type { AddBitmapOptions, BitmapInfo, BitmapStore, ByteRange } from '../driver/index.js';
import type { Engine } from '../engine/index.js';
import { LamellaError } from '../errors/index.js';
import type { Disk } from './disk.js';
import type { Layer } from './layer.js';

/** Where bitmaps to merge are. */
export interface MergeBitmapsOptions {
  /** Another open disk of the same size; this disk by default. */
  readonly from?: Disk | undefined;
}

/**
 * The dirty bitmaps in the top image of a disk: what was written since a backup, for the next one. Changes
 * wait for requests under way and are durable when they resolve; what writes record is stored when the disk
 * is closed, and a crash before that leaves the bitmaps that recorded inconsistent.
 */
export class DiskBitmaps {
  readonly #top: Layer;
  readonly #engine: Engine;

  /** Made by `Disk`. */
  constructor(top: Layer, engine: Engine) {
    this.#top = top;
    this.#engine = engine;
  }

  /**
   * All bitmaps, in the order of the image; none where the format has no bitmaps.
   *
   * @throws LamellaError `CORRUPT`, `UNSUPPORTED`, `LIMIT_EXCEEDED` when the image says nothing useful of
   * them
   */
  list(): readonly BitmapInfo[] {
    return this.#top.image.bitmaps?.list() ?? [];
  }

  /**
   * Adds a bitmap that has recorded nothing.
   *
   * @throws LamellaError `ALREADY_EXISTS`, `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `UNSUPPORTED`, `READ_ONLY`,
   * `NO_SPACE`
   */
  add(options: AddBitmapOptions): Promise<void> {
    return this.#change((bitmaps) => bitmaps.add(options));
  }

  /**
   * Removes a bitmap, also an inconsistent one.
   *
   * @throws LamellaError `NOT_FOUND`, `UNSUPPORTED`, `READ_ONLY`
   */
  remove(name: string): Promise<void> {
    return this.#change((bitmaps) => bitmaps.remove(name));
  }

  /**
   * Forgets what a bitmap has recorded.
   *
   * @throws LamellaError `NOT_FOUND`, `UNSUPPORTED`, `READ_ONLY`, `CORRUPT` for an inconsistent bitmap
   */
  clear(name: string): Promise<void> {
    return this.#change((bitmaps) => bitmaps.clear(name));
  }

  /**
   * Starts recording.
   *
   * @throws LamellaError as {@link DiskBitmaps.clear}
   */
  enable(name: string): Promise<void> {
    return this.#change((bitmaps) => bitmaps.setRecording(name, true));
  }

  /**
   * Stops recording. What was recorded is kept.
   *
   * @throws LamellaError as {@link DiskBitmaps.clear}
   */
  disable(name: string): Promise<void> {
    return this.#change((bitmaps) => bitmaps.setRecording(name, false));
  }

  /**
   * Adds to one bitmap what others have recorded, whatever their granularities are.
   *
   * @throws LamellaError as {@link DiskBitmaps.clear}, `INVALID_ARGUMENT` for a disk of another size; the
   * target is as it was then
   */
  async merge(
    target: string,
    sources: readonly string[],
    { from }: MergeBitmapsOptions = {},
  ): Promise<void> {
    await this.#change(async (bitmaps) => {
      if (from === undefined || from.bitmaps.#top.image === this.#top.image) {
        await bitmaps.merge(target, sources);
        return;
      }
      const { size } = this.#top.image;
      if (from.size !== size) {
        throw new LamellaError(
          'INVALID_ARGUMENT',
          `bitmaps of a disk of ${from.size} bytes can't be merged into one of a disk of ${size} bytes`,
          { location: this.#top.storage.location, hint: 'Resize one of the disks.' },
        );
      }
      await bitmaps.mergeRanges(target, allRanges(from.bitmaps, sources));
    });
  }

  /**
   * What a bitmap has recorded, as runs of bytes in order and within the disk. What is written meanwhile may
   * or may not be among them.
   *
   * @throws LamellaError `NOT_FOUND`, `UNSUPPORTED`, `CORRUPT` for an inconsistent bitmap or damage
   */
  ranges(name: string): AsyncIterable<ByteRange> {
    return this.#store().ranges(name);
  }

  #change(action: (bitmaps: BitmapStore) => Promise<void>): Promise<void> {
    return this.#engine.alone(() => action(this.#store()));
  }

  #store(): BitmapStore {
    const { image, format, storage } = this.#top;
    if (image.bitmaps === undefined) {
      throw new LamellaError(
        'UNSUPPORTED',
        `images of the format '${format}' can't store bitmaps`,
        { location: storage.location, hint: 'Convert the image to qcow2.' },
      );
    }
    return image.bitmaps;
  }
}

async function* allRanges(
  bitmaps: DiskBitmaps,
  names: readonly string[],
): AsyncGenerator<ByteRange, void, undefined> {
  for (const name of names) {
    yield* bitmaps.ranges(name);
  }
}
