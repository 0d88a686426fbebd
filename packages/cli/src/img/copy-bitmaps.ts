import { type BitmapStore, isLamellaError } from 'lamella';
import { Failure } from '../command-line/failure.js';
import { problemText } from '../messages/problem.js';
import type { OpenImage } from './open-image.js';
import type { OpenSource } from './source-image.js';

/**
 * Copies the bitmaps of an image's top layer into a new image.
 *
 * @param skipBroken - leave out those that are not to be relied on, instead of failing
 * @throws Failure
 */
export async function copyBitmaps(
  sources: readonly OpenSource[],
  target: OpenImage,
  skipBroken: boolean,
): Promise<void> {
  const [source] = sources;
  const from = source?.image.layers[0].image.bitmaps;
  const into = target.layers[0].image.bitmaps;
  if (from === undefined || into === undefined) {
    throw new Failure(
      from === undefined
        ? 'Source lacks bitmap support'
        : `Format driver '${target.disk.format}' does not support bitmaps`,
    );
  }
  for (const { name, granularity, recording, inconsistent } of from.list()) {
    if (inconsistent && skipBroken) {
      continue;
    }
    if (inconsistent) {
      throw new Failure(
        `Cannot copy inconsistent bitmap '${name}'\nTry --skip-broken-bitmaps, or use 'qemu-img bitmap --remove'`,
      );
    }
    try {
      await into.add({ name, granularity, recording });
      await into.mergeRanges(name, from.ranges(name));
    } catch (error) {
      if (isLamellaError(error) && error.problem.startsWith('version 2 images')) {
        throw new Failure(`Format driver '${target.disk.format}' does not support bitmaps`);
      }
      throw isLamellaError(error)
        ? new Failure(`Failed to populate bitmap ${name}: ${problemText(error)}`)
        : error;
    }
  }
}

/**
 * Adds to a bitmap what a bitmap of another image has recorded.
 *
 * @throws Failure, LamellaError
 */
export async function mergeFrom(
  source: OpenImage,
  name: string,
  target: BitmapStore,
  into: string,
): Promise<void> {
  const from = source.layers[0].image.bitmaps;
  const known = from?.list().some((bitmap) => bitmap.name === name) ?? false;
  if (from === undefined || !known) {
    throw new Failure(`Dirty bitmap '${name}' not found`);
  }
  await target.mergeRanges(into, from.ranges(name));
}
