import { Semaphore } from 'async-mutex';
import { type Awaitable, alignDown, alignUp, isPromise, MAX_ZEROES } from '../bytes/index.js';
import type {
  Allocation,
  Extent,
  Image,
  InPlace,
  Placement,
  ZeroContext,
} from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import type { ZeroRangeOptions } from '../storage/index.js';
import { AllocationFiller } from './allocation-filler.js';
import { CipherWriter, cipherSectors } from './cipher-io.js';
import { checkedLength } from './contract.js';
import { guestOf } from './guest.js';
import type { EngineLayer, LayerStack } from './layers.js';
import type { Locator } from './locator.js';
import { Pending } from './pending.js';
import type { Reader } from './reader.js';
import type { Request, RequestTracker } from './request-tracker.js';

/** Most I/Os that one request has under way. */
const MAX_IN_FLIGHT = 64;

/**
 * Most requests that change metadata at once. Each needs a few slices of a metadata cache together;
 * were there more of them than the cache holds, they could take turns evicting each other's for ever.
 */
const MAX_CHANGING = 64;

/** Longest piece, in bytes, that is copied from a lower layer at once. */
const MAX_COPY_STEP = 1024 * 1024;

/** The methods that make an image writable. */
type Place = NonNullable<Image['place']>;

/** Writes guest bytes into the top image of a stack. */
export class Writer {
  readonly #top: EngineLayer;
  readonly #place: Place | undefined;
  readonly #locator: Locator;
  readonly #tracker: RequestTracker;
  readonly #ciphered: CipherWriter;
  readonly #filler: AllocationFiller;
  readonly #reader: Reader;
  readonly #slots = new Semaphore(MAX_CHANGING);

  constructor(stack: LayerStack, reader: Reader, locator: Locator, tracker: RequestTracker) {
    this.#top = stack.layers[0];
    this.#place = this.#top.image.place?.bind(this.#top.image);
    this.#locator = locator;
    this.#tracker = tracker;
    this.#reader = reader;
    this.#ciphered = new CipherWriter(reader);
    this.#filler = new AllocationFiller(reader, locator, this.#ciphered);
  }

  /** Whether the top image takes writes at all. */
  get able(): boolean {
    return this.#place !== undefined;
  }

  /**
   * Writes all bytes at `offset`. Takes no turn of the event loop where the range has its clusters
   * already and the storage writes at once.
   */
  write(bytes: Uint8Array, offset: number): Awaitable<void> {
    if (!this.#tracker.isFree(offset, offset + bytes.length) || this.#slots.isLocked()) {
      return this.#writeExclusively(bytes, offset, undefined);
    }
    const placement = this.#placement(offset, bytes.length);
    if (isPromise(placement) || placement.kind !== 'in-place' || placement.length < bytes.length) {
      return this.#writeExclusively(bytes, offset, placement);
    }
    if (placement.cipher !== undefined) {
      return this.#writeSectors(placement, bytes, offset);
    }
    const written = guestOf(placement.storage).write(bytes, placement.offset);
    if (!isPromise(written)) {
      return undefined;
    }
    const request = this.#tracker.begin(offset, offset + bytes.length, 'shared');
    return written.finally(() => this.#tracker.end(request));
  }

  /** Makes a range read as zeroes, by metadata where the format can. */
  async writeZeroes(offset: number, length: number, options: ZeroRangeOptions): Promise<void> {
    const { unmap = true, fallback = true } = options;
    await this.exclusively(offset, length, () =>
      fallback
        ? this.zeroRange(offset, offset + length, unmap)
        : this.#zeroWithoutWriting(offset, offset + length, unmap),
    );
  }

  async #zeroWithoutWriting(offset: number, end: number, unmap: boolean): Promise<void> {
    for (let position = offset; position < end; ) {
      const done = await this.#zeroByMetadata(position, end, unmap);
      if (done === 0) {
        throw new LamellaError('UNSUPPORTED', 'zeroes would have to be written here', {
          location: this.#top.storage.location,
          offset: position,
          hint: 'Allow the fallback, or zero whole clusters of a format that can.',
        });
      }
      position += done;
    }
  }

  /** Stores zeroes as data, not many: no more than of a cluster; the caller has seen to it as for {@link zeroRange}. */
  async storeZeroes(offset: number, length: number): Promise<void> {
    await this.#store(new Uint8Array(length), offset);
  }

  /** Makes a range read as zeroes; the caller has seen to it that nothing else is under way there. */
  async zeroRange(offset: number, end: number, unmap: boolean): Promise<void> {
    for (let position = offset; position < end; ) {
      const byMetadata = await this.#zeroByMetadata(position, end, unmap);
      if (byMetadata > 0) {
        position += byMetadata;
      } else {
        const next = Math.min(end, alignUp(position + 1, this.#zeroStep));
        await this.#zeroByWriting(position, next - position, unmap);
        position = next;
      }
    }
  }

  /** Brings what lower layers hold in a range into the top image. */
  async copyUp(offset: number, length: number): Promise<void> {
    const end = offset + length;
    for (let position = offset; position < end; ) {
      const { layer, extent } = await this.#locator.locate(position, end - position);
      const step = Math.min(extent.length, MAX_COPY_STEP);
      if (heldBelow(layer, extent)) {
        await this.exclusively(position, step, () => this.#copyPart(position, step));
      }
      position += step;
    }
  }

  /** Looks again: somebody may have written here before this request had its turn. */
  async #copyPart(offset: number, length: number): Promise<void> {
    for (let done = 0; done < length; ) {
      const position = offset + done;
      const { layer, extent } = await this.#locator.locate(position, length - done);
      if (heldBelow(layer, extent)) {
        const bytes = new Uint8Array(extent.length);
        await this.#reader.read(0, bytes, position);
        await this.#store(bytes, position);
      }
      done += extent.length;
    }
  }

  /** Writes bytes; the caller has seen to it that nothing else is under way there. */
  async #store(bytes: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const left = bytes.length - done;
      const placement = await this.#placement(offset + done, left);
      const part = bytes.subarray(
        done,
        done + checkedLength(placement.length, left, placement.storage),
      );
      if (placement.kind === 'in-place') {
        await this.#writeInPlace(placement, part);
      } else {
        await this.#fill(placement, part, offset + done);
      }
      done += part.length;
    }
  }

  /** Drops the whole clusters of a range. */
  async discard(offset: number, length: number): Promise<void> {
    const { image } = this.#top;
    const start = alignUp(offset, image.clusterSize);
    const requested = offset + length;
    const end = requested === image.size ? requested : alignDown(requested, image.clusterSize);
    if (image.discard === undefined || end <= start) {
      return;
    }
    await this.exclusively(start, end - start, async () => {
      await image.discard?.(start, end - start, { zeroBelow: this.#locator.zeroBelowTop(start) });
    });
  }

  /** Bytes of zeroes to write before asking the image again; an image that can't zero is not asked twice. */
  get #zeroStep(): number {
    return this.#top.image.zero === undefined ? MAX_ZEROES : this.#top.image.clusterSize;
  }

  async #zeroByMetadata(position: number, end: number, unmap: boolean): Promise<number> {
    const { image } = this.#top;
    if (image.zero === undefined) {
      return 0;
    }
    const unit = image.clusterSize;
    const whole = end === image.size ? end : alignDown(end, unit);
    if (position % unit === 0 && whole > position) {
      return image.zero(position, whole - position, this.#zeroContext(position, unmap));
    }
    const start = alignDown(position, unit);
    const clusterEnd = Math.min(start + unit, image.size);
    const partEnd = Math.min(end, clusterEnd);
    if (!(await this.#isZeroBeside(position, partEnd, start, clusterEnd))) {
      return 0;
    }
    const context = this.#zeroContext(start, unmap);
    const done = await image.zero(start, clusterEnd - start, context);
    return start + done < clusterEnd ? 0 : partEnd - position;
  }

  #zeroContext(position: number, unmap: boolean): ZeroContext {
    return { unmap, zeroBelow: this.#locator.zeroBelowTop(position) };
  }

  /**
   * Whether a cluster may become zeroes as a whole when a part of it shall: the top image has no data there, and
   * the rest reads as zeroes already.
   */
  async #isZeroBeside(
    partStart: number,
    partEnd: number,
    start: number,
    end: number,
  ): Promise<boolean> {
    const { image } = this.#top;
    for (let position = start; position < end; ) {
      const { kind, length } = await image.map(position, end - position);
      if (kind === 'data' || kind === 'compressed') {
        return false;
      }
      position += checkedLength(length, end - position, this.#top.storage);
    }
    return (
      (await this.#locator.isZero(start, partStart - start)) &&
      (await this.#locator.isZero(partEnd, end - partEnd))
    );
  }

  async #zeroByWriting(offset: number, length: number, unmap: boolean): Promise<void> {
    if (unmap && (await this.#locator.isZero(offset, length))) {
      return;
    }
    for (let done = 0; done < length; ) {
      const position = offset + done;
      const placement = await this.#placement(position, length - done);
      if (placement.kind === 'in-place') {
        await this.#zeroInPlace(placement, unmap);
      } else {
        await this.#complete(placement, () => this.#filler.fillZeroes(placement, position, unmap));
      }
      done += checkedLength(placement.length, length - done, placement.storage);
    }
  }

  async #writeExclusively(
    bytes: Uint8Array,
    offset: number,
    first: Awaitable<Placement> | undefined,
  ): Promise<void> {
    const unit = this.#top.image.clusterSize;
    const request = this.#tracker.begin(
      alignDown(offset, unit),
      alignUp(offset + bytes.length, unit),
      'exclusive',
    );
    const pending = new Pending(MAX_IN_FLIGHT);
    // The first placement was taken without waiting: nobody was exclusive then, and those who came since
    // wait for this request. So it only waits for requests that need no slot, and may hold one meanwhile.
    let slot = first === undefined ? undefined : this.#slots.acquire();
    try {
      const ready = this.#tracker.ready(request);
      const placed = first === undefined ? undefined : await first;
      await ready;
      slot ??= this.#slots.acquire();
      await slot;
      let placement = placed ?? (await this.#placement(offset, bytes.length));
      for (let done = 0; ; ) {
        const part = bytes.subarray(done, done + placement.length);
        if (placement.kind === 'in-place') {
          if (part.length === bytes.length) {
            this.#yield(request, placement, offset, part.length);
          }
          pending.add(this.#writeInPlace(placement, part));
        } else {
          pending.add(this.#fill(placement, part, offset + done));
        }
        done += checkedLength(placement.length, bytes.length - done, placement.storage);
        if (done >= bytes.length || pending.failed) {
          break;
        }
        await pending.room();
        placement = await this.#placement(offset + done, bytes.length - done);
      }
    } catch (error) {
      pending.fail(error);
    }
    try {
      await pending.settle();
    } finally {
      const [, release] = (await slot) ?? [];
      release?.();
      this.#tracker.end(request);
    }
  }

  /** Ciphered writes in place get their sectors for themselves, to read and write back what is left of them. */
  async #writeSectors(placement: InPlace, bytes: Uint8Array, offset: number): Promise<void> {
    const { start, end } = cipherSectors(offset, bytes.length);
    const request = this.#tracker.begin(start, end, 'exclusive');
    try {
      // Those that this waits for read, or write other bytes of these sectors in place: the clusters stay.
      await this.#tracker.ready(request);
      await this.#writeInPlace(placement, bytes);
    } finally {
      this.#tracker.end(request);
    }
  }

  /** A whole write in place needs no more of its clusters than what it writes. */
  #yield(request: Request, placement: InPlace, offset: number, length: number): void {
    if (placement.cipher === undefined) {
      this.#tracker.downgrade(request);
    } else {
      const { start, end } = cipherSectors(offset, length);
      this.#tracker.narrow(request, start, end);
    }
  }

  #writeInPlace(placement: InPlace, bytes: Uint8Array): Awaitable<void> {
    return placement.cipher === undefined
      ? guestOf(placement.storage).write(bytes, placement.offset)
      : this.#ciphered.writeInPlace(placement, placement.cipher, bytes);
  }

  #zeroInPlace(placement: InPlace, unmap: boolean): Awaitable<void> {
    return placement.cipher === undefined
      ? guestOf(placement.storage).writeZeroes(placement.offset, placement.length, { unmap })
      : this.#ciphered.writeInPlace(placement, placement.cipher, new Uint8Array(placement.length));
  }

  #fill(allocation: Allocation, bytes: Uint8Array, offset: number): Promise<void> {
    return this.#complete(allocation, () => this.#filler.fill(allocation, bytes, offset));
  }

  /** Runs the filling of an allocation and commits it, or gives it back. */
  async #complete(allocation: Allocation, fill: () => Promise<void>): Promise<void> {
    try {
      await fill();
      await allocation.commit();
    } catch (error) {
      allocation.abort();
      throw error;
    }
  }

  /** Runs a change of clusters when nothing else is under way in them, and not beside too many others. */
  async exclusively(offset: number, length: number, action: () => Promise<void>): Promise<void> {
    const unit = this.#top.image.clusterSize;
    const request = this.#tracker.begin(
      alignDown(offset, unit),
      alignUp(offset + length, unit),
      'exclusive',
    );
    try {
      await this.#tracker.ready(request);
      await this.#slots.runExclusive(action);
    } finally {
      this.#tracker.end(request);
    }
  }

  #placement(offset: number, length: number): Awaitable<Placement> {
    if (this.#place === undefined) {
      throw new LamellaError('READ_ONLY', 'this format cannot be written', {
        location: this.#top.storage.location,
        hint: 'Put a writable overlay on top (lamella.overlay or compose).',
      });
    }
    return this.#place(offset, length);
  }
}

function heldBelow(layer: number | undefined, { kind }: Extent): boolean {
  return layer !== undefined && layer > 0 && (kind === 'data' || kind === 'compressed');
}
