import type { Storage } from './storage.js';

/** Most bytes in memory at once. */
const STEP = 1024 * 1024;

/**
 * Copies bytes between storages: without moving them through this process where the target can do that,
 * and by reading and writing otherwise. Bytes past the source's end are zeroes. Copies zeroes like
 * everything else; ask `map` first to leave holes out.
 *
 * @param source - read; may be the target, if the ranges do not overlap
 * @param sourceOffset - first byte in the source
 * @param target - written, and grown if need be
 * @param offset - first byte in the target
 * @param length - bytes
 * @throws LamellaError as `Storage.read` and `Storage.write`; then part of the range may be copied
 */
export async function copyBytes(
  source: Storage,
  sourceOffset: number,
  target: Storage,
  offset: number,
  length: number,
): Promise<void> {
  const done = (await target.copyFrom?.(source, sourceOffset, offset, length)) ?? 0;
  const buffer = new Uint8Array(Math.min(STEP, length - done));
  for (let position = done; position < length; ) {
    const part = buffer.subarray(0, Math.min(STEP, length - position));
    await source.read(part, sourceOffset + position);
    await target.write(part, offset + position);
    position += part.length;
  }
}
