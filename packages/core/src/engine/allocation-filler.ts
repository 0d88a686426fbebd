import { zeroes } from '../bytes/index.js';
import type { Allocation } from '../driver/index.js';
import type { Storage } from '../storage/index.js';
import type { CipherWriter } from './cipher-io.js';
import { guestOf } from './guest.js';
import type { Locator } from './locator.js';
import type { Reader } from './reader.js';

/** Copy-on-write edges up to this many bytes join the data in one I/O; longer ones are copied in steps. */
const MAX_JOINED_EDGE = 1024 * 1024;

/** Fills the space of allocations: with the data, and around it with what the guest reads there now. */
export class AllocationFiller {
  readonly #reader: Reader;
  readonly #locator: Locator;
  readonly #ciphered: CipherWriter;

  constructor(reader: Reader, locator: Locator, ciphered: CipherWriter) {
    this.#reader = reader;
    this.#locator = locator;
    this.#ciphered = ciphered;
  }

  /**
   * Writes data and edges.
   *
   * @param offset - guest offset of the data
   */
  async fill(allocation: Allocation, bytes: Uint8Array, offset: number): Promise<void> {
    const { copyBefore, copyAfter, cipher } = allocation;
    const storage = guestOf(allocation.storage);
    if (cipher !== undefined) {
      await this.#ciphered.fill(allocation, cipher, bytes, offset);
      return;
    }
    if (copyBefore === 0 && copyAfter === 0) {
      await storage.write(bytes, allocation.offset);
      return;
    }
    if (copyBefore > MAX_JOINED_EDGE || copyAfter > MAX_JOINED_EDGE) {
      await storage.write(bytes, allocation.offset);
      await this.#copyEdges(allocation, offset);
      return;
    }
    const before = await this.#edge(offset - copyBefore, copyBefore, allocation.fresh);
    const after = await this.#edge(offset + bytes.length, copyAfter, allocation.fresh);
    await storage.writev([before, bytes, after], allocation.offset - before.length);
  }

  /** Writes zeroes and edges; parameters as of {@link AllocationFiller.fill}. */
  async fillZeroes(allocation: Allocation, offset: number, unmap: boolean): Promise<void> {
    if (allocation.cipher !== undefined) {
      await this.#ciphered.fill(allocation, allocation.cipher, undefined, offset);
      return;
    }
    const storage = guestOf(allocation.storage);
    await storage.writeZeroes(allocation.offset, allocation.length, { unmap });
    await this.#copyEdges(allocation, offset);
  }

  /** What has to be written beside the data: nothing where the space reads as zeroes and zeroes belong. */
  async #edge(offset: number, length: number, fresh: boolean): Promise<Uint8Array> {
    if (length === 0) {
      return zeroes(0);
    }
    if (await this.#locator.isZero(offset, length)) {
      return zeroes(fresh ? 0 : length);
    }
    const edge = new Uint8Array(length);
    await this.#reader.read(0, edge, offset);
    return edge;
  }

  async #copyEdges(allocation: Allocation, offset: number): Promise<void> {
    const { copyBefore, copyAfter, length, fresh } = allocation;
    const storage = guestOf(allocation.storage);
    await this.#copy(
      offset - copyBefore,
      copyBefore,
      storage,
      allocation.offset - copyBefore,
      fresh,
    );
    await this.#copy(offset + length, copyAfter, storage, allocation.offset + length, fresh);
  }

  /** Copies what the guest sees in steps, so that memory stays small whatever the cluster size. */
  async #copy(
    from: number,
    length: number,
    storage: Storage,
    to: number,
    fresh: boolean,
  ): Promise<void> {
    const buffer = new Uint8Array(Math.min(length, MAX_JOINED_EDGE));
    for (let done = 0; done < length; ) {
      const step = Math.min(MAX_JOINED_EDGE, length - done);
      if (await this.#locator.isZero(from + done, step)) {
        if (!fresh) {
          await storage.writeZeroes(to + done, step, { unmap: false });
        }
      } else {
        const part = buffer.subarray(0, step);
        await this.#reader.read(0, part, from + done);
        await storage.write(part, to + done);
      }
      done += step;
    }
  }
}
