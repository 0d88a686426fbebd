import { type Awaitable, isPromise } from '../bytes/index.js';
import type { Extent } from '../driver/index.js';
import type { Storage } from '../storage/index.js';
import { readCiphered } from './cipher-io.js';
import { checkedLength, unknownKind } from './contract.js';
import { guestOf } from './guest.js';
import { type LayerStack, missingBackingError } from './layers.js';
import { Pending } from './pending.js';

/** Most I/Os that one request has under way. */
const MAX_IN_FLIGHT = 64;

/** A stretch of a storage that several extents make up together. */
interface Run {
  readonly storage: Storage;
  readonly offset: number;
  /** Where in the caller's buffer it goes. */
  readonly from: number;
  length: number;
}

/** Reads guest bytes through a stack of images. */
export class Reader {
  readonly #stack: LayerStack;

  constructor(stack: LayerStack) {
    this.#stack = stack;
  }

  /**
   * Fills the buffer with what the guest sees at `offset` when looking from layer `depth` down. Bytes
   * past a layer's end read as zeroes. Takes no turn of the event loop where nothing has to be waited
   * for.
   */
  read(depth: number, buffer: Uint8Array, offset: number): Awaitable<void> {
    const layer = this.#stack.layers[depth];
    if (layer === undefined) {
      this.#readBottom(buffer, offset);
      return undefined;
    }
    const inside = layer.image.size - offset;
    if (inside < buffer.length) {
      buffer.fill(0, Math.max(0, inside));
      return inside <= 0 ? undefined : this.read(depth, buffer.subarray(0, inside), offset);
    }
    const extent = layer.image.map(offset, buffer.length);
    return isPromise(extent) || extent.length !== buffer.length
      ? this.#readPieces(depth, extent, buffer, offset)
      : this.#readExtent(depth, extent, buffer, offset);
  }

  #readExtent(depth: number, extent: Extent, buffer: Uint8Array, offset: number): Awaitable<void> {
    switch (extent.kind) {
      case 'data':
        return extent.cipher === undefined
          ? guestOf(extent.storage).read(buffer, extent.offset)
          : readCiphered(extent, extent.cipher, buffer);
      case 'zero':
        buffer.fill(0);
        return undefined;
      case 'unallocated':
        return this.read(depth + 1, buffer, offset);
      case 'compressed': {
        if (extent.loadInto !== undefined) {
          return extent.loadInto(buffer);
        }
        const bytes = extent.load();
        if (!isPromise(bytes)) {
          buffer.set(bytes);
          return undefined;
        }
        return bytes.then((loaded) => buffer.set(loaded));
      }
      default:
        throw unknownKind(
          extent,
          this.#stack.layers[depth]?.storage ?? this.#stack.layers[0].storage,
        );
    }
  }

  async #readPieces(
    depth: number,
    first: Awaitable<Extent>,
    buffer: Uint8Array,
    offset: number,
  ): Promise<void> {
    const pending = new Pending(MAX_IN_FLIGHT);
    try {
      await this.#startPieces(depth, first, buffer, offset, pending);
    } catch (error) {
      pending.fail(error);
    }
    await pending.settle();
  }

  async #startPieces(
    depth: number,
    first: Awaitable<Extent>,
    buffer: Uint8Array,
    offset: number,
    pending: Pending,
  ): Promise<void> {
    const layer = this.#stack.layers[depth];
    if (layer === undefined) {
      return;
    }
    let run: Run | undefined;
    const readRun = (): void => {
      if (run !== undefined) {
        const part = buffer.subarray(run.from, run.from + run.length);
        pending.add(guestOf(run.storage).read(part, run.offset));
        run = undefined;
      }
    };
    let next: Awaitable<Extent> | undefined = first;
    for (let done = 0; done < buffer.length && !pending.failed; ) {
      const answer = next ?? layer.image.map(offset + done, buffer.length - done);
      next = undefined;
      const extent = isPromise(answer) ? await answer : answer;
      checkedLength(extent.length, buffer.length - done, layer.storage);
      if (extent.kind === 'data' && extent.cipher === undefined) {
        if (
          run !== undefined &&
          run.storage === extent.storage &&
          run.offset + run.length === extent.offset
        ) {
          run.length += extent.length;
        } else {
          readRun();
          run = {
            storage: extent.storage,
            offset: extent.offset,
            from: done,
            length: extent.length,
          };
        }
      } else {
        readRun();
        const part = buffer.subarray(done, done + extent.length);
        pending.add(this.#readExtent(depth, extent, part, offset + done));
      }
      done += extent.length;
      await pending.room();
    }
    readRun();
  }

  #readBottom(buffer: Uint8Array, offset: number): void {
    if (this.#stack.missing !== undefined) {
      throw missingBackingError(this.#stack.missing, offset);
    }
    buffer.fill(0);
  }
}
