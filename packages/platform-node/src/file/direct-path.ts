import { close } from 'node:fs';
import { promisify } from 'node:util';
import { alignDown, alignUp, RequestTracker } from '@lamella/core';
import { type AlignedMemory, CHUNK_SIZE } from './aligned-memory.js';
import type { DataPath } from './data-path.js';
import { PieceQueue, readFully, readOnce, writeFully, writevFully } from './pool-io.js';

const closeFile = promisify(close);

/** No system has larger pages; changes by way of the page cache keep so far from direct ones. */
const LARGEST_PAGE = 64 * 1024;

/** What a {@link DirectPath} is made of. */
export interface DirectPathOptions {
  /** Descriptor with `O_DIRECT`; the path closes it. */
  readonly direct: number;
  /** Descriptor of the same file without; stays the caller's. */
  readonly cached: number;
  /** Bytes that offsets and lengths of direct I/O have to be a multiple of; a power of two. */
  readonly alignment: number;
  /** Where the bytes are on their way. */
  readonly memory: AlignedMemory;
}

/**
 * Past the page cache (`O_DIRECT`), in whole blocks at aligned addresses.
 *
 * A write that begins or ends within a block reads that block first; meanwhile no other change comes near
 * it. Where a file ends within a block, that block is written through the page cache, because a whole
 * block would make the file longer; the system keeps the two ways coherent as long as they do not meet in
 * one page at one time, and that is seen to here.
 */
export class DirectPath implements DataPath {
  readonly #direct: number;
  readonly #cached: number;
  readonly #alignment: number;
  readonly #memory: AlignedMemory;
  readonly #turns = new RequestTracker();

  constructor(options: DirectPathOptions) {
    this.#direct = options.direct;
    this.#cached = options.cached;
    this.#alignment = options.alignment;
    this.#memory = options.memory;
  }

  async read(buffer: Uint8Array, from: number, position: number): Promise<number> {
    const end = position + buffer.length - from;
    for (let at = position; at < end; ) {
      const start = alignDown(at, this.#alignment);
      const length = Math.min(alignUp(end, this.#alignment) - start, CHUNK_SIZE);
      const into = from + at - position;
      const got = await this.#memory.lend(async (chunk) => {
        const count = await this.#readBlocks(chunk.subarray(0, length), start);
        const wanted = chunk.subarray(at - start, Math.min(count, end - start));
        buffer.set(wanted, into);
        return count;
      });
      if (got < length) {
        return into + Math.max(0, Math.min(got, end - start) - (at - start));
      }
      at = start + length;
    }
    return buffer.length;
  }

  async write(
    pieces: readonly Uint8Array[],
    position: number,
    length: number,
    size: number,
  ): Promise<void> {
    const end = position + length;
    const start = alignDown(position, this.#alignment);
    const wholeEnd = alignUp(end, this.#alignment);
    const queue = new PieceQueue(pieces);
    if (wholeEnd > Math.max(size, end)) {
      const tail = Math.max(position, wholeEnd - this.#alignment);
      await this.#inTurn(alignDown(position, LARGEST_PAGE), Infinity, 'exclusive', async () => {
        await this.#writeBlocks(queue, position, tail);
        await writevFully(this.#cached, queue.head(Infinity), tail);
      });
      return;
    }
    const whole = start === position && wholeEnd === end;
    await this.#inTurn(start, wholeEnd, whole ? 'shared' : 'exclusive', () =>
      this.#writeBlocks(queue, position, end),
    );
  }

  alone(offset: number, length: number, change: () => Promise<void>): Promise<void> {
    const start = alignDown(offset, LARGEST_PAGE);
    return this.#inTurn(start, alignUp(offset + length, LARGEST_PAGE), 'exclusive', change);
  }

  close(): Promise<void> {
    return closeFile(this.#direct);
  }

  async #inTurn(
    start: number,
    end: number,
    mode: 'shared' | 'exclusive',
    change: () => Promise<void>,
  ): Promise<void> {
    const turn = this.#turns.begin(start, end, mode);
    try {
      await this.#turns.ready(turn);
      await change();
    } finally {
      this.#turns.end(turn);
    }
  }

  /** Writes a range out of the queue, completing the blocks at its ends with what the file has there. */
  async #writeBlocks(queue: PieceQueue, position: number, end: number): Promise<void> {
    for (let at = position; at < end; ) {
      const start = alignDown(at, this.#alignment);
      const stop = Math.min(alignUp(end, this.#alignment), start + CHUNK_SIZE);
      await this.#memory.lend(async (chunk) => {
        const blocks = chunk.subarray(0, stop - start);
        const from = at - start;
        const to = Math.min(end, stop) - start;
        const last = blocks.length - this.#alignment;
        if (from > 0) {
          await this.#complete(blocks.subarray(0, this.#alignment), start);
        }
        if (to < blocks.length && (last > 0 || from === 0)) {
          await this.#complete(blocks.subarray(last), start + last);
        }
        queue.copy(blocks.subarray(from, to));
        await writeFully(this.#direct, blocks, start);
      });
      at = stop;
    }
  }

  async #complete(block: Uint8Array, position: number): Promise<void> {
    block.fill(0, await this.#readBlocks(block, position));
  }

  /** Reads whole blocks; fewer bytes than asked for mean that the file ends there. */
  async #readBlocks(blocks: Uint8Array, position: number): Promise<number> {
    for (let done = 0; ; ) {
      const count = await readOnce(this.#direct, blocks.subarray(done), position + done);
      done += count;
      if (count === 0 || done === blocks.length) {
        return done;
      }
      if (count % this.#alignment !== 0) {
        // Only the file's end does that, unless it has just grown; the cached way can read any rest.
        return readFully(this.#cached, blocks, done, position + done);
      }
    }
  }
}
