import { throwIfAborted } from '../errors/index.js';
import type { Disk } from './disk.js';

/** Part of a disk to stream, and how. */
export interface StreamOptions {
  /** First byte; 0 by default. */
  readonly offset?: number | undefined;
  /** Bytes to read; up to the disk's end by default. */
  readonly length?: number | undefined;
  /** Bytes of one chunk; 1 MiB by default. */
  readonly chunkSize?: number | undefined;
  /** Ends the stream with `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_CHUNK = 1024 * 1024;

/** A byte stream of part of a disk, read as the consumer asks for it. */
export function readableOf(disk: Disk, options: StreamOptions): ReadableStream<Uint8Array> {
  const chunkSize = options.chunkSize ?? DEFAULT_CHUNK;
  let position = options.offset ?? 0;
  const end = position + (options.length ?? disk.size - position);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller): Promise<void> {
        throwIfAborted(options.signal, disk.location);
        const chunk = new Uint8Array(Math.min(chunkSize, end - position));
        if (chunk.length > 0) {
          await disk.read(chunk, position);
          position += chunk.length;
          controller.enqueue(chunk);
        }
        if (position >= end) {
          controller.close();
        }
      },
    },
    { highWaterMark: 1 },
  );
}

/** A stream that writes what it gets to a disk, one chunk after the other, and flushes at its end. */
export function writableOf(disk: Disk, options: StreamOptions): WritableStream<Uint8Array> {
  let position = options.offset ?? 0;
  return new WritableStream<Uint8Array>({
    async write(chunk): Promise<void> {
      throwIfAborted(options.signal, disk.location);
      await disk.write(chunk, position);
      position += chunk.length;
    },
    close: () => disk.flush(),
  });
}
